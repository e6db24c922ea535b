"""What a report returns of the mail that it is about: only its Message-ID and its recipient are read. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from notifier.domain.bounces.mail_part import MailPart, decode, read_fields
from notifier.domain.bounces.recipient import find_addresses

MAX_IDS: Final = 10
_MAX_HEADERS: Final = 100_000
_RETURNED: Final = (
    *("message/rfc822", "message/global", "message/partial", "message/rfc822-headers", "message/global-headers"),
    *("text/rfc822", "text/rfc822-headers", "text/rfc822-header", "application/rfc822", "text/global-headers"),
)
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,990})>")
_BARE_ID: Final = re.compile(r"(?<![^<>\s,;@])[^<>\s,;@]{1,400}@[^<>\s,;@]{1,255}")
_ID_FIELD: Final = re.compile(
    r"^[> \t]{0,8}(?:x-)?(?:original-)?message-id[ \t]*:[ \t]*(?:\n[ \t]+)?([^\n]{1,1200})",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST_FIELD: Final = re.compile(
    r"^[> \t]{0,8}(?:(?:x-)?received|return-path|message-id|mime-version|dkim-signature|auto-submitted)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class OriginalMail:
    """`message_ids`: with angle brackets, the most certain first. `recipients`: of its header."""

    message_ids: tuple[str, ...]
    recipients: tuple[str, ...]


def is_returned(part: MailPart) -> bool:
    """Whether this part is the returned mail, or its header."""
    return part.type in _RETURNED


def read_original(message: MailPart, texts: Iterable[str]) -> OriginalMail:
    """What is known of the mail: from what is returned of it, the report's own header, or its texts.

    `texts` are all texts of the report, the fields of its status among them.
    """
    ids: list[str] = []
    recipients: list[str] = []
    for part in message.leaves():
        if is_returned(part):
            fields = _returned_fields(part)
            ids += [found for value in fields.get("message-id", ()) for found in message_ids(value)]
            recipients += find_addresses(", ".join(fields.get("to", ()))[:2000])
    for text in texts:
        ids += _ids_in(text)
        recipients += find_addresses(", ".join(read_fields(_returned_header(text)).get("to", ()))[:2000])
    ids += message_ids(message.first("x-original-message-id"))
    # A person may attach the report about another mail to a reply to ours.
    ids = ids or message_ids(message.first("in-reply-to"))[:1] or message_ids(message.first("references"))[-1:]
    return OriginalMail(tuple(dict.fromkeys(ids))[:MAX_IDS], tuple(dict.fromkeys(recipients)))


def message_ids(value: str) -> list[str]:
    """The Message-IDs in a field, with angle brackets, also if the field has none."""
    found = _MESSAGE_ID.findall(value) or _BARE_ID.findall(value)[:1]
    return [f"<{each}>" for each in found if each.isprintable()]


def notice_of(text: str) -> str:
    """The beginning of a text, up to the header of the mail that it returns."""
    first = _FIRST_FIELD.search(text)
    return text[: first.start()] if first else text


def _returned_fields(part: MailPart) -> dict[str, list[str]]:
    text = decode(part.content[:_MAX_HEADERS]).lstrip("\n")
    return read_fields(text.partition("\n\n")[0])


def _ids_in(text: str) -> Iterator[str]:
    """The Message-IDs in the fields of a text. The content of the mail that it returns is the sender's, not read."""
    for found in islice(_ID_FIELD.finditer(notice_of(text) + _returned_header(text)), MAX_IDS):
        yield from message_ids(found[1])


def _returned_header(text: str) -> str:
    """The header of the mail that a text returns."""
    first = _FIRST_FIELD.search(text)
    return text[first.start() :].partition("\n\n")[0] if first else ""
