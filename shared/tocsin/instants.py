"""Instants as people are told them, in mails and on pages, and as machines write them."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_UNESCAPED: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)? \d\d:\d\d", re.ASCII)


def to_utc(at: datetime) -> datetime:
    """The same instant in UTC."""
    return at.astimezone(UTC)


def render_instant(at: datetime) -> str:
    """An instant in the one form that every answer and event uses: `2026-06-08T12:00:00.000000Z`."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


Instant = Annotated[
    AwareDatetime, AfterValidator(to_utc), PlainSerializer(render_instant, return_type=str, when_used="json")
]


def display_instant(at: datetime, zone: tzinfo) -> str:
    """`2026-06-08 13:00 UTC (09:00 EDT)`: for people; headers and answers have microseconds."""
    local = at.astimezone(zone)
    told = f"{at:%Y-%m-%d %H:%M{':%S' if at.second else ''}} UTC"
    if local.tzname() == "UTC":
        return told
    day = "" if local.date() == at.date() else f"{local:%Y-%m-%d} "
    return f"{told} ({day}{local:%H:%M %Z})"


def parse_instant(value: object) -> datetime:
    """An instant in UTC out of the text that RFC 3339 writes it as, with its zone. Raises ValueError."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        if isinstance(value, str) and _UNESCAPED.fullmatch(value):
            raise ValueError("has a blank before its zone: in an address write `+` as `%2B`, or the instant with `Z`")
        raise ValueError("must be an instant with its zone, such as 2026-06-08T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no date and time that exists") from None


InstantInput = Annotated[AwareDatetime, BeforeValidator(parse_instant)]
"""A field that nothing but such a text gives a value: no number is guessed to be one."""
