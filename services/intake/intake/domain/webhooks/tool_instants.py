"""Reads the instants that tools write, and the values that mean "never". Pure.

Few tools leave a date empty. They write the first or last date that they can store, the beginning of some count of
seconds, or zeros (docs/decisions/0039-dates-that-mean-never.md).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2078
"""No date of a service desk lies outside these years. SQL Server's `smalldatetime` ends in 2079."""

NOT_AN_INSTANT: Final = "is not an instant such as 2026-06-08T12:00:00Z"

_UNITS: Final = {"unix": 1, "unix_ms": 1000}
_DAY: Final = int(timedelta(days=1).total_seconds())
_TOO_LATE: Final = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
_END_OF_CALENDAR: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) + 2 * _DAY
_LARGEST_INTEGERS: Final = frozenset({(1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1})
_LARGEST_SECOND: Final = datetime(2038, 1, 19, 3, 14, 7)  # noqa: DTZ001 (compared in any zone); (1 << 31) - 1
_WORDS: Final = frozenset({"null", "none", "nil", "undefined", "never", "n/a", "na", "-", "--"})
_MAX_LENGTH: Final = 60

_NUMBER: Final = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)
_YEAR: Final = re.compile(r"(?<!\d)\d{4}(?!\d)", re.ASCII)
_EXTENDED_YEAR: Final = re.compile(r"[+-]\d{5,9}-\d\d-\d\d", re.ASCII)
_NEVER_YEARS: Final = frozenset({"0000", "0001", "1601", "1753", "1899", "1900", "1904", "1969", "1970", "9999"})
# How .NET's older serializers write milliseconds since 1970; the offset says nothing about the instant.
_DOTNET: Final = re.compile(r"/Date\((-?\d{1,20})([+-]\d{4})?\)/", re.ASCII)
# Ruby writes a space before the offset, which ISO 8601 does not allow.
_SPACED_OFFSET: Final = re.compile(r"(:\d\d(?:\.\d+)?) (UTC|[+-]\d\d:?\d\d)$", re.ASCII)


def read_instant(value: object, zone: ZoneInfo, form: str = "iso") -> datetime | None:
    """A tool's instant in UTC, in `zone` if it has no offset; None if the tool states that there is none.

    `form` is iso (also with a space before the offset or UTC, or as `/Date(1780920007000)/`), unix (seconds), unix_ms,
    or a strptime format. Fractions of a second may have any number of digits. A date outside FIRST_YEAR to LAST_YEAR
    means that there is none (docs/rules.md#1-13). Raises ValueError for any other value,
    also for a number in the wrong unit: seconds read as milliseconds lie in 1970.
    """
    if isinstance(value, str):
        value = value.strip()
    try:
        return _parsed(value, zone, form)
    except (ValueError, OverflowError, OSError):
        if _means_never(value):
            return None
        raise ValueError(NOT_AN_INSTANT) from None


def _parsed(value: object, zone: ZoneInfo, form: str) -> datetime | None:
    if form in _UNITS:
        return _from_number(_as_number(value), _UNITS[form])
    if not isinstance(value, str):
        raise ValueError(NOT_AN_INSTANT)
    if form == "iso" and (dotnet := _DOTNET.fullmatch(value)):
        return _from_number(int(dotnet[1]), 1000)
    at = _from_iso(value) if form == "iso" else datetime.strptime(value, form)  # noqa: DTZ007 (it is added below)
    if not _is_date(at):
        return None  # before it is converted: the year 1 has no instant in other zones
    at = (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    return at if _is_date(at) else None


def _from_iso(text: str) -> datetime:
    return datetime.fromisoformat(_SPACED_OFFSET.sub(lambda found: found[1] + found[2].replace("UTC", "+00:00"), text))


def _from_number(number: float, per_second: int) -> datetime | None:
    """The instant; a number that counts in another unit lies outside the calendar, or in 1970 to 1989."""
    seconds = number / per_second
    if number in _LARGEST_INTEGERS or seconds <= _DAY or _TOO_LATE <= seconds <= _END_OF_CALENDAR:
        return None
    at = datetime.fromtimestamp(seconds, UTC)
    if at.year < FIRST_YEAR:
        raise ValueError(NOT_AN_INSTANT)
    return at


def _as_number(value: object) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(NOT_AN_INSTANT)
    return value


def _is_date(at: datetime) -> bool:
    return FIRST_YEAR <= at.year <= LAST_YEAR and at.replace(tzinfo=None, microsecond=0) != _LARGEST_SECOND


def _means_never(value: object) -> bool:
    """Whether a value that is not in the expected format is still one of those that mean "never"."""
    if value is False or value == []:  # as PHP and ConnectWise's custom fields write null
        return True
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return len(value) <= _MAX_LENGTH and _is_never_text(value)
    try:
        number = _as_number(value)
    except ValueError:
        return False
    return number <= 0 or number in _LARGEST_INTEGERS


def _is_never_text(text: str) -> bool:
    digits = {character for character in text if character.isdigit()}
    if not digits:
        return not text or text.casefold() in _WORDS
    years = set(_YEAR.findall(text))
    has_never_year = bool(years & _NEVER_YEARS) and not any(FIRST_YEAR <= int(year) <= LAST_YEAR for year in years)
    return digits == {"0"} or has_never_year or _EXTENDED_YEAR.match(text) is not None
