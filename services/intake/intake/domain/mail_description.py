"""What people read in the lists of ignored and unmapped mails. Pure."""

from typing import Final

from tocsin.characters import one_line

from intake.domain.mail import AutomaticSign, IgnoredReason
from intake.domain.mail_rules import ReceivedMail

_MAX_SUBJECT: Final = 80
_ALLOW: Final = "If it is a request, add the sender to `allow_automatic` under `email`, then replay the delivery."
_WAS_HEARD: Final = "Earlier mails of this sender opened tickets."
_BOUNCE: Final = "If it is about a mail of the notifier, deliver it to the notifier: POST /v1/bounces."
_OWN: Final = "Mails of this system are never requests."
_ANSWER: Final = "If a person wrote it, open the ticket with POST /v1/tickets."


# docs/rules.md#6-28
def describe_ignored(received: ReceivedMail, sign: AutomaticSign, *, was_heard: bool) -> str:
    """Why a mail is ignored, from whom it is, and what to do; `was_heard`: mails of its author opened tickets."""
    advice = f"{_WAS_HEARD} {_ALLOW}" if was_heard else _advice(sign)
    return describe_mail(received, f"{sign.text}. {advice}")


def describe_mail(received: ReceivedMail, text: str) -> str:
    """The text with the author and the subject of the mail."""
    subject = one_line(received.mail.subject, _MAX_SUBJECT) or "(no subject)"
    return f"{text} From {received.author.address.email}: {subject}"


def _advice(sign: AutomaticSign) -> str:
    if sign.may_be_request:
        return _ALLOW
    if sign.reason in (IgnoredReason.BOUNCE, IgnoredReason.EMPTY_RETURN_PATH):
        return _BOUNCE
    return _OWN if sign.reason is IgnoredReason.OWN_MAIL else _ANSWER
