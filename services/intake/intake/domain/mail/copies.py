"""Whether two mails with the same Message-ID are copies of one mail, or different mails. Pure.

Devices and scripts reuse a Message-ID, so it alone does not identify a mail. Copies have the same subject, text and
attachments, except that a mailing list may add a tag to the subject and a footer to the text, and a mailbox may add a
footer. Any other difference makes another mail: one ticket too many is better than a request that is lost.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
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


# docs/rules.md#6-26
@dataclass(frozen=True, slots=True)
class ContentDigests:
    """Digests of the content of a mail, by which copies are recognised.

    `content` is that of subject, text and attachments, without the marks of a mailing list. `whole` adds the Date
    header, and `shortened` is the same without any footer: two mails are copies if they have the same `content`, or if
    the `whole` of one is the `shortened` of the other.
    """

    content: bytes
    whole: bytes
    shortened: bytes


def digest_content(
    subject: str, text: str, attachments: tuple[str, ...], origin: MailOrigin, date: str
) -> ContentDigests:
    """The digests of a mail; `date` is its Date header, or empty."""
    if origin.is_list:
        subject = _without_tag(subject, origin)
        text = _without_footer(text, lambda footer: _names_list(footer, origin))
    shortened = _without_footer(text, lambda footer: bool(footer.strip()))
    return ContentDigests(
        content=_digest(subject, text, *attachments),
        whole=_digest(date, subject, text, *attachments),
        shortened=_digest(date, subject, shortened, *attachments),
    )


def _without_tag(subject: str, origin: MailOrigin) -> str:
    """The subject without the tag that names the list: `[Support] Printer`, `Re: [Support] Printer`."""
    marks = _REPLY_MARK.match(subject)
    start = marks.end() if marks else 0
    tag = _TAG.match(subject, start)
    is_of_list = tag is not None and tag[1].strip().lower() in origin.list_names
    return subject[:start] + subject[tag.end() :] if tag and is_of_list else subject


def _without_footer(text: str, is_footer: Callable[[str], bool]) -> str:
    """The text up to the last line of dashes after which a footer follows."""
    lines = text.split("\n")
    # From the end, so that the author's own signature stays.
    for index in reversed(range(max(len(lines) - _MAX_FOOTER_LINES, 0), len(lines))):
        if _SEPARATOR.match(lines[index]) and is_footer("\n".join(lines[index + 1 :])):
            return "\n".join(lines[:index])
    return text


def _names_list(footer: str, origin: MailOrigin) -> bool:
    return bool(_LIST_WORDS.search(footer)) or any(address in footer.lower() for address in origin.list_addresses)


def _digest(*parts: str) -> bytes:
    words = "\0".join(" ".join(part.split()) for part in parts)
    return sha256(words.encode(errors="replace")).digest()
