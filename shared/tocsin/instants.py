"""Instants: the field types for them, and how they are parsed and rendered."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_UNESCAPED_OFFSET: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)? \d\d:\d\d", re.ASCII)


def to_utc(at: datetime) -> datetime:
    """Return the same instant in UTC."""
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def render_instant(at: datetime) -> str:
    """Return an instant as all responses and events show it: `2026-06-08T12:00:00.000000Z`."""
    return to_utc(at).isoformat(timespec="microseconds")[:-6] + "Z"


def display_instant(at: datetime, zone: tzinfo) -> str:
    """Return an instant as mails and pages show it, `2026-06-08 13:00 UTC (09:00 EDT)`. `at` is in UTC."""
    local = at.astimezone(zone)
    utc = f"{at:%Y-%m-%d %H:%M{':%S' if at.second else ''}} UTC"
    if local.tzname() == "UTC":
        return utc
    day = "" if local.date() == at.date() else f"{local:%Y-%m-%d} "
    return f"{utc} ({day}{local:%H:%M %Z})"


def parse_instant(value: object) -> datetime:
    """Return the instant in UTC of an RFC 3339 text with a zone. Returns a datetime as it is. Raises ValueError."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        if isinstance(value, str) and _UNESCAPED_OFFSET.fullmatch(value):
            raise ValueError("has a space before its offset; in a URL, write `+` as `%2B`, or use `Z`")
        raise ValueError("must be an instant with a zone, such as 2026-06-08T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not an existing date and time") from None


Instant = Annotated[
    AwareDatetime, AfterValidator(to_utc), PlainSerializer(render_instant, return_type=str, when_used="json")
]
"""An aware datetime in UTC, rendered with microseconds in JSON."""

InstantInput = Annotated[AwareDatetime, BeforeValidator(parse_instant)]
"""An instant in a request: text by RFC 3339 only, never a number."""
