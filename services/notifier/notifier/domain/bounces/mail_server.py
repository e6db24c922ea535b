"""How mail servers say in plain text what happened to a mail, and how automatic replies differ from them. Pure.

The words are those of Postfix, Exim, qmail, Sendmail, OpenSMTPD, Zimbra, Exchange, Microsoft 365, Gmail, Amazon SES and
of servers that imitate them. Codes of servers decide in other languages.
"""

import re
from typing import Final

from tocsin.mail import MailHeaders, MessageOutline

from notifier.domain.bounces.recipient import BounceAction, action_of_codes


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_SERVER: Final = _any_of(
    r"mailer-?daemon|mail-daemon|mailsystem|mdaemon|postmaster|qmail-send|microsoftexchange[0-9a-f]",
    r"mail ?(?:delivery|system|administrator)|system administrator",
)
_NO_ENVELOPE: Final = re.compile(r"mailer-?daemon", re.IGNORECASE)
"""What some servers write as their return path where it should be empty (RFC 5321, 4.5.5)."""
_OPENING: Final = _any_of(
    r"qmail-send program|mail delivery (?:software|system|subsystem|agent)|mail (?:system|server) at",
    r"delivery status notification|message was created automatically by mail|mailer[- ]daemon",
)
_NEVER: Final = _any_of(
    r"this is a permanent error|permanent fatal errors|i've given up|(?:has |have )?failed permanently",
)
_LATER: Final = _any_of(
    r"(?:not|n't) (?:yet )?been delivered yet|not yet been delivered|delivery incomplete|transient non-?fatal",
    r"warning (?:message )?only|n(?:o|')t need to resend",
    r"(?:will|being) (?:be )?re-?tr(?:y|ied)|(?:keep|continue) (?:on )?trying|will (?:be )?continue",
    r"(?:is|are|been|delivery|message) delayed|delayed (?:for )?(?:more than )?\d|verzögert",
)
_FAILED: Final = _any_of(
    r"(?:could|can|was|were|is|has|have|did)(?:n't| ?not)(?: be| been)? (?:delivered|deliver|reached|reach|sent)\b",
    r"undeliver(?:able|ed)|(?:delivery|deliver) (?:has |have )?(?:failed|failure)|failed (?:delivery|recipient)",
    r"delivery (?:status )?notification \(fail|failure notice|mail (?:delivery )?failed|returned (?:mail|to sender)",
    r"(?:not able|unable|impossible|n't able) to (?:be )?deliver|error (?:has )?occurred while",
    r"(?:address|recipient|user|mailbox|account)[^.]{0,40}(?:not found|rejected|unknown|not exist|n't exist|disabled)",
    r"mailbox[^.]{0,20}full|unknown (?:user|recipient|address)|no such (?:user|mailbox|recipient)|no mailbox here",
    r"(?:message|was|been) (?:blocked|rejected|refused|aborted)|not (?:be(?:en)? )?deliver(?:ed|able)",
    r"nicht (?:erfolgreich )?(?:zugestellt|übermittelt)|unzustellbar|pas (?:pu )?(?:être|été) (?:remis|distribu)",
    r"no se (?:pudo|ha podido) entregar|non (?:è stato )?(?:possibile )?(?:recapitat|consegnat)",
    r"onbestelbaar|não foi entregue",
)
_AUTOMATIC: Final = _any_of(
    r"auto(?:matic|mated)?[- ]?(?:reply|response|antwort|matische antwort)|out of (?:the )?office|on vacation|abwesen",
    r"réponse automatique|respuesta automática|risposta automatica",
    r"(?:confirm|verify) (?:your|that you)|confirmation required|sender verification",
)
_REPLY_SUBJECT: Final = re.compile(r"\s*(?:re|aw|sv|antw|fwd?|wg)\s*:", re.IGNORECASE)
_SPACES: Final = re.compile(r"\s+")


def is_from_mail_server(headers: MailHeaders, notice: str) -> bool:
    """Whether a mail server seems to have written the message: no reply (`Re:`), and no return path of a person."""
    sender, envelope = headers.first("from")[:500], headers.first("return-path")
    if _REPLY_SUBJECT.match(headers.first("subject")):
        return False
    if envelope not in ("", "<>") and not _NO_ENVELOPE.search(envelope):
        return False
    if _SERVER.search(sender) or "x-failed-recipients" in headers.names():
        return True
    return (envelope == "<>" or sender in ("", "<>")) and _OPENING.search(notice) is not None


def read_verdict(notice: str) -> BounceAction | None:
    """Whether the words of a mail server say that a mail failed or is delayed; None if neither."""
    words = _SPACES.sub(" ", notice.replace("\u2019", "'"))
    if _NEVER.search(words):
        return BounceAction.FAILED
    if _LATER.search(words):
        return BounceAction.DELAYED
    if _FAILED.search(words):
        return BounceAction.FAILED
    by_code = action_of_codes(words)
    return None if by_code is BounceAction.DELIVERED else by_code


def kind_of_other_message(message: MessageOutline) -> str | None:
    """What a message is, if its structure says that it is not about the delivery of a mail; None otherwise."""
    if any(name.startswith("tocsin-") for name in message.headers.names()):
        return "a mail of this system"
    kinds = " ".join([message.headers.first("content-type").lower(), *(part.content.type for part in message.parts)])
    if "delivery-status" in kinds:
        return None
    if "disposition-notification" in kinds:
        return "a read receipt (RFC 8098)"
    return "a complaint of a reader (RFC 5965)" if "feedback-report" in kinds else None


def is_automatic_reply(headers: MailHeaders, notice: str) -> bool:
    """Whether a machine answered: a notice of absence, a list, or a service that asks the sender to prove something."""
    if headers.first("auto-submitted").partition(";")[0].strip().lower() not in ("", "no"):
        return True
    if headers.first("precedence").strip().lower() in ("bulk", "junk", "auto_reply", "list"):
        return True
    if any(name.startswith(("x-autoreply", "x-autorespon")) for name in headers.names()):
        return True
    return _AUTOMATIC.search(f"{headers.first('subject')}\n{notice[:300]}") is not None
