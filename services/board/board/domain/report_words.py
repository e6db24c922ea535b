"""Numbers, durations and instants as a report writes them. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo


def percent_words(percent: float | None) -> str:
    """`97.9 %`, rounded down, so that only a full 100 is `100 %`; `no data` for null."""
    if percent is None:
        return "no data"
    tenths = int(percent * 10 + 1e-6)
    return f"{tenths // 10}.{tenths % 10} %" if tenths % 10 else f"{tenths // 10} %"


def duration_words(seconds: float | None) -> str:
    """`45 s`, `12 min`, `2 h 5 min`, `51 h`: hours are not made days, because business days are shorter."""
    if seconds is None:
        return "no data"
    if seconds < 60:
        return f"{seconds:.3g} s" if 0 < seconds < 10 and seconds != int(seconds) else f"{int(seconds)} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    if hours >= 100 or (hours and not minutes):
        return f"{hours:,} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def instant_words(at: datetime, zone: ZoneInfo) -> str:
    """`Fri 5 Jun 2026 16:00 EDT`."""
    local = at.astimezone(zone)
    seconds = f":{local:%S}" if local.second else ""
    return f"{local:%a} {local.day} {local:%b} {local:%Y %H:%M}{seconds} {local:%Z}"


def count_words(number: int, singular: str, plural: str | None = None) -> str:
    """`1 ticket`, `1,200 tickets`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
