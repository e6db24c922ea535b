"""The parts of a report as text, and the messages that it attaches. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import Final

from tocsin.mail import MessageOutline, MimePart, decode_text

_MAX_TEXT: Final = 100_000
_MAX_ATTACHED: Final = 5
_RETURNED: Final = (  # beside mails
    *("message/partial", "message/rfc822-headers", "message/global-headers"),
    *("text/rfc822", "text/rfc822-headers", "text/rfc822-header", "application/rfc822", "text/global-headers"),
)
_TEXTS: Final = ("text/", "message/", "application/octet-stream")
_LINE_END: Final = re.compile(r"\r+\n|\r")
_LINE_BREAK: Final = re.compile(r"<(?:br|/?p|/?div|/tr|/li|/?pre|/h\d)\b[^<>]{0,500}>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[a-z!/][^<>]{0,2000}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReportPart:
    """`type` is the media type, `text` the beginning of the text; empty if the part is not a text.

    `is_returned`: it is the mail that the report is about, or its headers. Its text is the headers only.
    """

    type: str
    text: str
    is_returned: bool


def read_parts(message: MessageOutline) -> list[ReportPart]:
    """The parts of a report, in their order."""
    return [_read_part(part) for part in message.parts]


def read_attached(message: MessageOutline) -> list[MessageOutline]:
    """The messages that a message attaches, and the first one that each of these attaches."""
    direct = list(islice(_attached(message), _MAX_ATTACHED))
    return [*direct, *(inner for each in direct for inner in islice(_attached(each), 1))]


def _attached(message: MessageOutline) -> Iterator[MessageOutline]:
    return (mail for part in message.parts if (mail := part.attached_mail()))


def _read_part(part: MimePart) -> ReportPart:
    media_type = part.content.type
    is_returned = part.content.is_mail or media_type in _RETURNED
    if not is_returned and not media_type.startswith(_TEXTS):
        return ReportPart(media_type, "", is_returned)
    octets = part.content.decode(part.body)[:_MAX_TEXT]
    text = _LINE_END.sub("\n", decode_text(octets, part.content.charset))
    if is_returned:
        text = text.lstrip("\n").partition("\n\n")[0]
    elif media_type == "text/html":
        text = unescape(_TAG.sub("", _LINE_BREAK.sub("\n", text)))
    return ReportPart(media_type, text, is_returned)
