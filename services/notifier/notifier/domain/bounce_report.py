"""Reads a delivery status notification (RFC 3464): which mail it is about, and what happened to it. Pure.

Strangers write such messages, so as little as possible of one is read: the report itself, and only the Message-ID of
the returned mail.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from enum import StrEnum
from typing import Final

from tocsin.characters import one_line

from notifier.errors import BounceReportError


class BounceAction(StrEnum):
    """RFC 3464, 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"

    @property
    def is_arrival(self) -> bool:
        return self not in (BounceAction.FAILED, BounceAction.DELAYED)


_RETURNED: Final = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
_STATUS: Final = "message/delivery-status"
_MAX_PARTS: Final = 60
_MAX_LINES: Final = 40_000
_MAX_CONTENT_TYPE: Final = 4_000
_MAX_HEADERS: Final = 100_000
_MAX_REPLY: Final = 500
_GLOBAL_STATUS: Final = re.compile(rb"message/global-delivery-status", re.IGNORECASE)
_PART: Final = re.compile(rb"^content-type:(?:[^\n]|\n[ \t])*", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]{1,990}>")
_ADDRESS: Final = re.compile(r"[^\s<>;,\"()]+@[^\s<>;,\"()]+")
_ESCAPED: Final = re.compile(r"\\x\{(10[0-9A-Fa-f]{4}|[0-9A-Fa-f]{2,5})\}")


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """What happened to the mail for one recipient.

    `addresses`: its final and, if given, its original address, as the report writes them. `reply`: the last server's,
    on one line.
    """

    addresses: tuple[str, ...]
    action: BounceAction
    reply: str


@dataclass(frozen=True, slots=True)
class BounceReport:
    """`message_id` is the returned mail's, with its angle brackets."""

    message_id: str
    recipients: tuple[ReportedRecipient, ...]


def read_report(raw: bytes) -> BounceReport:
    """The report in a raw message. Raises BounceReportError for any other message."""
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    _check_size(raw)
    try:
        # The library splits only the older media type into fields; the newer one is the same for our purpose.
        return _read(BytesParser(policy=compat32).parsebytes(_GLOBAL_STATUS.sub(_STATUS.encode(), raw)))
    except (RecursionError, ValueError, LookupError):  # the library's parser on malformed input
        raise BounceReportError("", "cannot be parsed as a mail") from None


def _check_size(raw: bytes) -> None:
    """The library's time is quadratic in parts and parameters: seconds for what fits into a megabyte."""
    parts = _PART.findall(raw)
    if len(parts) > _MAX_PARTS or raw.count(b"\n") > _MAX_LINES:
        raise BounceReportError("", f"has more than {_MAX_PARTS} parts or {_MAX_LINES:,} lines")
    if max(map(len, parts), default=0) > _MAX_CONTENT_TYPE:
        raise BounceReportError("Content-Type", f"is longer than {_MAX_CONTENT_TYPE:,} bytes")


def _read(message: Message) -> BounceReport:
    kind = message.get_content_type()
    if kind != "multipart/report":
        raise BounceReportError("Content-Type", f"is {_quote(kind)}, not multipart/report")
    report_type = message.get_param("report-type", "delivery-status")
    if str(report_type).lower() != "delivery-status":
        raise BounceReportError("Content-Type", f"has the report-type {_quote(str(report_type))}, not delivery-status")
    parts = _parts(message)
    status = next((part for part in parts if part.get_content_type() == _STATUS), None)
    if status is None:
        raise BounceReportError("message/delivery-status", "is missing")
    recipients = tuple(_read_recipients(status))
    if not recipients:
        raise BounceReportError("Final-Recipient", "is missing: the report names no recipient")
    return BounceReport(_message_id(message, parts), recipients)


def _parts(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _read_recipients(status: Message) -> Iterator[ReportedRecipient]:
    blocks = _parts(status)
    reporter = next((_text(block, "Reporting-MTA") for block in blocks if "Reporting-MTA" in block), "")
    for block in blocks:
        if "Final-Recipient" in block or "Action" in block:
            yield _read_recipient(block, _without_type(reporter))


def _read_recipient(block: Message, reporter: str) -> ReportedRecipient:
    named = [_text(block, name) for name in ("Final-Recipient", "Original-Recipient")]
    addresses = tuple(dict.fromkeys(address for text in named if (address := _address(text))))
    if not addresses:
        raise BounceReportError("Final-Recipient", "is missing or has no address")
    action = _text(block, "Action").split("(")[0].strip().lower()
    if action not in set(BounceAction):
        raise BounceReportError("Action", f"must be one of {', '.join(BounceAction)}")
    return ReportedRecipient(addresses, BounceAction(action), _reply(block, reporter))


def _reply(block: Message, reporter: str) -> str:
    status, diagnostic = _text(block, "Status"), _without_type(_text(block, "Diagnostic-Code"))
    details = [f"status {status}" if status else "", f"reported by {reporter}" if reporter else ""]
    aside = ", ".join(part for part in details if part)
    return one_line(f"{diagnostic} ({aside})" if diagnostic and aside else diagnostic or aside, _MAX_REPLY)


def _message_id(message: Message, parts: list[Message]) -> str:
    """The returned mail's; if it was not returned, the one that the report replies to."""
    returned = next((part for part in parts if part.get_content_type() in _RETURNED), None)
    texts = [_text(message, "In-Reply-To")]
    if returned is not None:
        inner = _parts(returned) or [_headers(returned)]
        texts.insert(0, _text(inner[0], "Message-ID"))
    for text in texts:
        if found := _MESSAGE_ID.search(text):
            return found[0]
    raise BounceReportError("Message-ID", "is missing: the report does not include the headers of the returned mail")


def _headers(part: Message) -> Message:
    payload = part.get_payload(decode=True)
    # Only the headers: encoded parts behind them have not been counted by `_check_size`.
    return BytesHeaderParser(policy=compat32).parsebytes(payload[:_MAX_HEADERS] if isinstance(payload, bytes) else b"")


def _text(block: Message, name: str) -> str:
    """A field unfolded, on one line; empty if missing."""
    # The raw value: the library's decoding breaks addresses with bytes beyond ASCII.
    values = (str(value) for key, value in block.raw_items() if key.lower() == name.lower())
    return one_line(next(values, "").encode(errors="surrogateescape").decode(errors="replace"), 2000)


def _without_type(text: str) -> str:
    """`dns; mx.example.com` without its type."""
    kind, separator, value = text.partition(";")
    return value.strip() if separator and " " not in kind.strip() else text


def _address(text: str) -> str | None:
    """The address in `rfc822; dana@example.com`; None for other types of address."""
    kind, _, value = text.partition(";")
    if kind.strip().lower() == "utf-8":
        value = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    found = _ADDRESS.search(value)
    return found[0] if found else None


def _quote(text: str) -> str:
    return one_line(text, 60)
