"""What a mail server reports of a mail that it had taken (RFC 3464): raw message in, who it concerns out. Pure.

Everything in such a message was written by strangers. Only its outline is read: the report itself, and of the mail that
it returns nothing but the Message-ID.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from typing import Final, Literal, cast, get_args

from notifier.domain.sanitize import one_line

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]

_RETURNED: Final = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
_STATUS: Final = "message/delivery-status"
_MOST_PARTS: Final = 60
_MOST_LINES: Final = 40_000
_LONGEST_TYPE: Final = 4_000
_LARGEST_HEADERS: Final = 100_000
_WORDS: Final = 500
_GLOBAL_STATUS: Final = re.compile(rb"message/global-delivery-status", re.IGNORECASE)
_PART: Final = re.compile(rb"^content-type:(?:[^\n]|\n[ \t])*", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]{1,990}>")
_ADDRESS: Final = re.compile(r"[^\s<>;,\"()]+@[^\s<>;,\"()]+")
_ESCAPED: Final = re.compile(r"\\x\{(10[0-9A-Fa-f]{4}|[0-9A-Fa-f]{2,5})\}")


class NotAReport(Exception):
    """The message is no report that can be understood; `field` is what is missing or wrong in it, str() says how."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Reported:
    """What happened to the mail for one recipient.

    `addresses`: where it ended up and, if told, where it was sent at first, as the report writes them. `words`: the
    last server's, on one line.
    """

    addresses: tuple[str, ...]
    action: Action
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """`message_id` is the returned mail's, with its angle brackets."""

    message_id: str
    recipients: tuple[Reported, ...]


def read_report(raw: bytes) -> Report:
    """The report in a raw message. Raises NotAReport, whatever else the message is."""
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    _check_size(raw)
    try:
        # The newer media type differs in nothing that matters here, and the library splits only the older into fields.
        return _report(BytesParser(policy=compat32).parsebytes(_GLOBAL_STATUS.sub(_STATUS.encode(), raw)))
    except (RecursionError, ValueError, LookupError):  # what the library's parser raises on what nobody ever wrote
        raise NotAReport("", "cannot be read as a mail") from None


def _check_size(raw: bytes) -> None:
    """The library takes time in the square of parts and parameters: seconds for what fits into a megabyte."""
    parts = _PART.findall(raw)
    if len(parts) > _MOST_PARTS or raw.count(b"\n") > _MOST_LINES:
        raise NotAReport("", "has more parts or lines than any report")
    if max(map(len, parts), default=0) > _LONGEST_TYPE:
        raise NotAReport("Content-Type", "is longer than that of any report")


def _report(message: Message) -> Report:
    kind = message.get_content_type()
    if kind != "multipart/report":
        raise NotAReport("Content-Type", f"is {_shown(kind)}, not multipart/report")
    report_type = message.get_param("report-type", "delivery-status")
    if str(report_type).lower() != "delivery-status":
        raise NotAReport("Content-Type", f"has the report-type {_shown(str(report_type))}, not delivery-status")
    parts = _parts(message)
    status = next((part for part in parts if part.get_content_type() == _STATUS), None)
    if status is None:
        raise NotAReport("message/delivery-status", "is missing: the report has no such part")
    recipients = tuple(_recipients(status))
    if not recipients:
        raise NotAReport("Final-Recipient", "is missing: the report names nobody")
    return Report(_message_id(message, parts), recipients)


def _parts(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _recipients(status: Message) -> Iterator[Reported]:
    blocks = _parts(status)
    reporter = next((_text(block, "Reporting-MTA") for block in blocks if "Reporting-MTA" in block), "")
    for block in blocks:
        if "Final-Recipient" in block or "Action" in block:
            yield _reported(block, _untyped(reporter))


def _reported(block: Message, reporter: str) -> Reported:
    named = [_text(block, name) for name in ("Final-Recipient", "Original-Recipient")]
    addresses = tuple(dict.fromkeys(address for text in named if (address := _address(text))))
    if not addresses:
        raise NotAReport("Final-Recipient", "is missing, or names no address")
    action = _text(block, "Action").split("(")[0].strip().lower()
    if action not in get_args(Action):
        raise NotAReport("Action", f"must be one of {', '.join(get_args(Action))}")
    return Reported(addresses, cast(Action, action), _words(block, reporter))


def _words(block: Message, reporter: str) -> str:
    status, diagnostic = _text(block, "Status"), _untyped(_text(block, "Diagnostic-Code"))
    told = [f"status {status}" if status else "", f"reported by {reporter}" if reporter else ""]
    aside = ", ".join(part for part in told if part)
    return one_line(f"{diagnostic} ({aside})" if diagnostic and aside else diagnostic or aside, _WORDS)


def _message_id(message: Message, parts: list[Message]) -> str:
    """The returned mail's; where it is not returned, what the report says that it answers."""
    returned = next((part for part in parts if part.get_content_type() in _RETURNED), None)
    texts = [_text(message, "In-Reply-To")]
    if returned is not None:
        inner = _parts(returned) or [_headers(returned)]
        texts.insert(0, _text(inner[0], "Message-ID"))
    for text in texts:
        if found := _MESSAGE_ID.search(text):
            return found[0]
    raise NotAReport("Message-ID", "is missing: the report does not return the headers of the mail that it is about")


def _headers(part: Message) -> Message:
    payload = part.get_payload(decode=True)
    # What comes behind the headers could be parts again, which nobody has counted: they were encoded.
    return BytesHeaderParser(policy=compat32).parsebytes(
        payload[:_LARGEST_HEADERS] if isinstance(payload, bytes) else b""
    )


def _text(block: Message, name: str) -> str:
    """A field unfolded, on one line; empty where there is none."""
    # As it stands in the message: what the library makes of octets beyond ASCII is no address any more.
    values = (str(value) for key, value in block.raw_items() if key.lower() == name.lower())
    return one_line(next(values, "").encode(errors="surrogateescape").decode(errors="replace"), 2000)


def _untyped(text: str) -> str:
    """`dns; mx.example.com` without its type."""
    kind, separator, value = text.partition(";")
    return value.strip() if separator and " " not in kind.strip() else text


def _address(text: str) -> str | None:
    """The address of `rfc822; dana@example.com`; None where it is none that mails have."""
    kind, _, value = text.partition(";")
    if kind.strip().lower() == "utf-8":
        value = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    found = _ADDRESS.search(value)
    return found[0] if found else None


def _shown(text: str) -> str:
    return one_line(text, 60)
