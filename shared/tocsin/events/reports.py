"""The event that requests the mail of a monthly report to a person. Topic `tocsin.escalations.v1`."""

import zlib
from base64 import b64decode, b64encode
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, model_validator

from tocsin.events.values import Customer, FrozenModel
from tocsin.instants import Instant

MAX_PAGE_BYTES: Final = 10_000_000
"""The largest page of a report. Its attachment stays below what mail servers accept by default."""
MAX_TEXT: Final = 20_000
"""The longest summary, in characters."""
_MAX_PACKED: Final = 600_000
"""The longest packed page, in characters: the record stays far below what Kafka accepts."""
_GZIP: Final = 31  # zlib's window bits for the gzip format

Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2026-05"])]


class ReportReady(FrozenModel):
    """`report.ready`: the report of a month is to be mailed to one person.

    It is about no ticket. The report of a month and a customer for a person has the same id forever (`report_id`), so
    a repeated event mails nobody twice.
    """

    event_id: UUID
    """The id of the event, which is the id of the report for this person. It is also the key of the record."""
    tenant: str
    """The tenant that owns the tickets of the report."""
    month: Month
    """The month that the report is about, such as `2026-05`."""
    customer: Customer | None = None
    """The customer that the report is about. Null for all customers of the tenant."""
    to: str
    """The id of the person in the directory."""
    subject: str
    """The subject of the mail."""
    text: Annotated[str, Field(max_length=MAX_TEXT)]
    """The summary in the mail, one statement a line."""
    page: Annotated[str, Field(max_length=_MAX_PACKED)] | None = None
    """The report as a self-contained HTML page, compressed by gzip, in base64. The mail attaches it. Null if it is too
    large."""
    url: str | None = None
    """The address of the report, which the mail links to. Null if it is not known."""
    at: Instant
    """The scheduled instant of the mail."""

    @property
    def ticket_id(self) -> UUID:
        """The id of the report, in the place of a ticket's: as the key of records, and where mails are ordered."""
        return self.event_id

    @property
    def html(self) -> str | None:
        """The page, or None if the event has none."""
        return _unpack(self.page).decode() if self.page is not None else None

    @model_validator(mode="after")
    def _page_is_readable(self) -> Self:
        if self.page is not None:
            _unpack(self.page).decode()
        return self


def pack_page(html: str) -> str | None:
    """The page as `ReportReady.page` carries it; None if it is too large to be mailed."""
    plain = html.encode()
    if len(plain) > MAX_PAGE_BYTES:
        return None
    packer = zlib.compressobj(level=9, wbits=_GZIP)
    packed = b64encode(packer.compress(plain) + packer.flush()).decode("ascii")
    return packed if len(packed) <= _MAX_PACKED else None


def _unpack(packed: str) -> bytes:
    """Raises ValueError if it is not complete, or too large."""
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        plain = unpacker.decompress(b64decode(packed, validate=True), MAX_PAGE_BYTES)
    except (ValueError, zlib.error) as error:
        raise ValueError("page is not base64 of a page compressed by gzip") from error
    if not unpacker.eof:
        raise ValueError(f"page is incomplete, or larger than {MAX_PAGE_BYTES} bytes")
    return plain
