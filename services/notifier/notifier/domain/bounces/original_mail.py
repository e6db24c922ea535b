"""What a report says of the mail that it is about: only its Message-ID and its recipient are read. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tocsin.mail import MailHeaders, find_message_ids

from notifier.domain.bounces.recipient import find_addresses
from notifier.domain.bounces.report_part import ReportPart

_MAX_IDS: Final = 10
# Servers that replace the Message-ID keep the old one in a field such as X-Google-Original-Message-ID.
_ORIGINAL_ID: Final = r"[a-z0-9-]{0,60}original-?message-?id"
_ORIGINAL_ID_NAME: Final = re.compile(_ORIGINAL_ID)
_ID_FIELD: Final = re.compile(
    rf"^[> \t]{{0,8}}(?:(?:x-)?message-id|{_ORIGINAL_ID})[ \t]*:[ \t]*(?:\n[> \t]+)?([^\n]{{1,1200}})",
    re.IGNORECASE | re.MULTILINE,
)
_TO_FIELD: Final = re.compile(r"^[> \t]{0,8}to[ \t]*:((?:[^\n]|\n[ \t])*+)", re.IGNORECASE | re.MULTILINE)
_FIRST_FIELD: Final = re.compile(
    r"^[> \t]{0,8}(?:(?:x-)?received|return-path|message-id|mime-version|dkim-signature|auto-submitted)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class OriginalMail:
    """`message_ids`: with angle brackets, the most certain first. `recipients`: the addresses in its To."""

    message_ids: tuple[str, ...]
    recipients: tuple[str, ...]


def read_original(headers: MailHeaders, parts: Sequence[ReportPart], *, is_from_server: bool) -> OriginalMail:
    """What a report says of the mail, in what it returns of the mail, in its texts, and in its own headers.

    `is_from_server`: a mail server wrote the report. A person may attach one about another mail to a reply to ours.
    """
    ids: list[str] = []
    recipients: list[str] = []
    for part in sorted(parts, key=lambda part: not part.is_returned):
        returned = part.text if part.is_returned else _returned_headers(part.text)
        # The content of the returned mail is its sender's: it is not read.
        ids += _ids_in(returned if part.is_returned else notice_of(part.text) + returned)
        recipients += find_addresses(", ".join(_TO_FIELD.findall(returned))[:2000])
    for name in filter(_ORIGINAL_ID_NAME.fullmatch, headers.names()):
        ids += headers.message_ids(name)
    if is_from_server or not ids:
        replied_to = headers.message_ids("In-Reply-To")[:1] + headers.message_ids("References")[-1:]
        ids = ids[: _MAX_IDS - len(replied_to)] + replied_to
    message_ids = (f"<{each}>" for each in ids[:_MAX_IDS] if each.isprintable())
    return OriginalMail(tuple(dict.fromkeys(message_ids)), tuple(dict.fromkeys(recipients)))


def notice_of(text: str) -> str:
    """The beginning of a text, up to the headers of the mail that it returns."""
    first = _FIRST_FIELD.search(text)
    return text[: first.start()] if first else text


def _returned_headers(text: str) -> str:
    """The headers of the mail that a text returns."""
    first = _FIRST_FIELD.search(text)
    return text[first.start() :].partition("\n\n")[0] if first else ""


def _ids_in(text: str) -> Iterator[str]:
    for found in islice(_ID_FIELD.finditer(text), _MAX_IDS):
        yield from find_message_ids(found[1])
