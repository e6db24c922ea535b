"""An instant as people are told it, in mails and on pages."""

from datetime import datetime, tzinfo


def moment(at: datetime, zone: tzinfo) -> str:
    """`2026-06-08 13:00 UTC (09:00 EDT)`: for people; headers and answers have microseconds."""
    local = at.astimezone(zone)
    told = f"{at:%Y-%m-%d %H:%M{':%S' if at.second else ''}} UTC"
    if local.tzname() == "UTC":
        return told
    day = "" if local.date() == at.date() else f"{local:%Y-%m-%d} "
    return f"{told} ({day}{local:%H:%M %Z})"
