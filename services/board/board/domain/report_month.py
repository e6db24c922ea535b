"""The calendar month of a report, in a time zone. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from zoneinfo import ZoneInfo

PATTERN: Final = r"^(19[9][0-9]|20[0-9][0-9])-(0[1-9]|1[0-2])$"
"""A month as paths and the command line write it, 1990 to 2099."""
_NAMES: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True, order=True)
class ReportMonth:
    """A calendar month."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The month that `2026-05` names. Raises ValueError."""
        matched = re.fullmatch(PATTERN, text, re.ASCII)
        if matched is None:
            raise ValueError("must be a month of the years 1990 to 2099, such as 2026-05")
        return cls(int(matched[1]), int(matched[2]))

    @classmethod
    def of(cls, at: datetime, zone: ZoneInfo) -> Self:
        """The month of an instant in a zone."""
        local = at.astimezone(zone)
        return cls(local.year, local.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def words(self) -> str:
        """`May 2026`."""
        return f"{_NAMES[self.number - 1]} {self.year}"

    @property
    def before(self) -> Self:
        """The month before."""
        return type(self)(self.year - (self.number == 1), (self.number - 2) % 12 + 1)

    @property
    def after(self) -> Self:
        """The month after."""
        return type(self)(self.year + self.number // 12, self.number % 12 + 1)

    def begin(self, zone: ZoneInfo) -> datetime:
        """The instant at which the month begins in the zone, in UTC. It ends where the month after begins."""
        return datetime(self.year, self.number, 1, tzinfo=zone).astimezone(UTC)
