"""Local times, and the instants at which a wall clock shows them (docs/decisions/0015-role-holder-precedence.md)."""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from tocsin.yaml_document import TextValue

FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Rotations have holders between these instants. Time zones overflow near the limits of a datetime."""

_LOCAL: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})")
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LocalTime(TextValue):
    """A date and time without a zone, such as `2026-06-08T09:00`. `at` is a naive datetime."""

    at: datetime = field(init=False, compare=False)

    def __post_init__(self) -> None:
        found = _LOCAL.fullmatch(self.text)
        try:
            at = datetime.fromisoformat(f"{found[1]}T{found[2]}") if found else None
        except ValueError:
            at = None
        if at is None or not FIRST.year <= at.year < LAST.year:
            raise ValueError(f"`{self.text}` is not a local time; write it like 2026-06-08T09:00, without a zone")
        object.__setattr__(self, "at", at)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_LOCAL.pattern}$", "examples": ["2026-06-08T09:00"]}


@lru_cache(maxsize=8192)
def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) at which a wall clock in `zone` shows the naive `local` time or a later one.

    A repeated time is its first occurrence. A skipped time is the instant at which the clocks jump over it.
    """
    at = local.replace(tzinfo=zone).astimezone(UTC)
    if wall_time(at, zone) == local:
        return at
    after = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = at.astimezone(zone).utcoffset()
    jumped = bisect_left(
        range((at - after) // _SECOND),
        True,
        key=lambda second: (after + second * _SECOND).astimezone(zone).utcoffset() == offset,
    )
    return after + jumped * _SECOND


def wall_time(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what a wall clock in `zone` shows at the instant, as a naive datetime."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)
