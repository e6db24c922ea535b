"""Calendars as they are written, and the clocks they become (RULES 2)."""

from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tocsin.business_time import DAY, Business, Holidays
from tocsin.yaml_document import DaySpan, Duration, OpeningHours, YamlModel, Zone, field_error, windows_by_weekday


def _place(code: str) -> str:
    Holidays(code)
    return code


class HolidayRule(YamlModel):
    """Which days a calendar does not open: a country's or subdivision's, plus and minus dates of one's own."""

    of: Annotated[str, AfterValidator(_place), Field(max_length=20, examples=["US", "US-CA", "IT"])] | None = None
    added: tuple[date, ...] = ()
    removed: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _either_added_or_removed(self) -> Self:
        for index, day in enumerate(self.removed):
            if day in self.added:
                raise field_error(("removed", index), day, f"{day} is added as well; keep one of the two")
        return self

    @property
    def holidays(self) -> Holidays:
        return Holidays(self.of, frozenset(self.added), frozenset(self.removed))


class Calendar(YamlModel):
    """Opening hours at a place. `business_day` may be left out where all open days are equally long."""

    zone: Zone
    open: Annotated[dict[DaySpan, OpeningHours], Field(examples=[{"monday-friday": "08:00-17:00"}])]
    holidays: HolidayRule = HolidayRule()
    business_day: Duration | None = None

    @model_validator(mode="after")
    def _opens(self) -> Self:
        week = self._week()
        lengths = {sum(end - start for start, end in spans) for spans in week.values()}
        if not lengths:
            raise field_error(("open",), {}, "never opens; give it hours, for example monday-friday: 08:00-17:00")
        if self.business_day is None and len(lengths) > 1:
            raise field_error(
                ("business_day",), None, "is missing while open days differ in length; state it, for example 9h"
            )
        if self.business_day is not None and (self.business_day.business or self.business_day.micros > DAY):
            raise field_error(
                ("business_day",), self.business_day, f"`{self.business_day}` is no day; state up to 24h, such as 9h"
            )
        return self

    @property
    def day(self) -> int:
        """The standard business day in microseconds."""
        if self.business_day is not None:
            return self.business_day.micros
        return sum(end - start for start, end in next(iter(self._week().values())))

    def business(self, name: str) -> Business:
        """The calendar's clock."""
        return Business(name, self.zone, self._week(), self.holidays.holidays)

    def open_days(self, year: int) -> int:
        """On how many days of that year it opens, clock changes aside."""
        return _open_days(year, frozenset(self._week()), self.holidays.holidays)

    def _week(self) -> dict[int, tuple[tuple[int, int], ...]]:
        return windows_by_weekday(self.open, "open")


def _open_days(year: int, opening: frozenset[int], holidays: Holidays) -> int:
    first, last = date(year, 1, 1), date(year, 12, 31)
    # A year has 52 of each weekday, and one more of that of its first and of its last day.
    days = 52 * len(opening) + len(opening & {first.weekday(), last.weekday()})
    closed = {day for day in holidays.between(year, year) if day.year == year and day.weekday() in opening}
    return days - len(closed)
