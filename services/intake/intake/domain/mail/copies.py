"""Whether two mails with the same Message-ID are copies of one mail, or different mails. Pure.

Devices and scripts use a Message-ID again, so it does not identify a mail alone. Copies have the same author, subject,
text and attachments. A mailing list may add a tag to the subject and a footer to the text; both are left out if they
name a list. Any other difference makes another mail: one ticket too many is better than a request that is lost.
"""

import re
from hashlib import sha256
from typing import Final

from intake.domain.mail.origin import MailOrigin

_MAX_FOOTER_LINES: Final = 15
_SEPARATOR: Final = re.compile(r"[-_=*~]{2,}\s*$")
_LIST_WORDS: Final = re.compile(
    r"mailing list|mailinglist|google groups|groups\.io|unsubscribe|abmelden|abbestellen|d\u00e9sabonner|desuscribirse",
    re.IGNORECASE,
)
_REPLY_MARK: Final = re.compile(r"((?:re|aw|sv|antw|fwd?|wg|tr)\s*:\s*)*", re.IGNORECASE)
_TAG: Final = re.compile(r"\[([^\[\]]{1,100})\]\s*")


def content_digest(subject: str, text: str, attachments: tuple[str, ...], origin: MailOrigin) -> bytes:
    """A digest that is the same for all copies of a mail."""
    if origin.is_list:
        subject, text = _without_tag(subject, origin), _without_footer(text, origin)
    parts = [" ".join(part.split()) for part in (subject, text, *attachments)]
    return sha256("\0".join(parts).encode(errors="replace")).digest()


def _without_tag(subject: str, origin: MailOrigin) -> str:
    """The subject without the tag that names the list: `[Support] Printer`, `Re: [Support] Printer`."""
    marks = _REPLY_MARK.match(subject)
    start = marks.end() if marks else 0
    tag = _TAG.match(subject, start)
    is_of_list = tag is not None and tag[1].strip().lower() in origin.list_names
    return subject[:start] + subject[tag.end() :] if tag and is_of_list else subject


def _without_footer(text: str, origin: MailOrigin) -> str:
    """The text up to a line of dashes, if what follows is short and names a list."""
    lines = text.split("\n")
    # From the end, so that the author's own signature stays.
    for index in reversed(range(max(len(lines) - _MAX_FOOTER_LINES, 0), len(lines))):
        footer = "\n".join(lines[index + 1 :])
        if _SEPARATOR.match(lines[index]) and _names_list(footer, origin):
            return "\n".join(lines[:index])
    return text


def _names_list(footer: str, origin: MailOrigin) -> bool:
    return bool(_LIST_WORDS.search(footer)) or any(address in footer.lower() for address in origin.list_addresses)
