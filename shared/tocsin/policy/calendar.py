"""Business calendars of the policy, and the clocks that run on them (docs/rules.md#2-calendars)."""

from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from tocsin.business_time import DAY, Business, Holidays
from tocsin.yaml_document import (
    DaySpan,
    Duration,
    OpeningHours,
    YamlModel,
    Zone,
    field_error,
    windows_by_weekday,
)


def _holiday_code(code: str) -> str:
    Holidays(code)
    return code


class HolidayRule(YamlModel):
    """The days on which a calendar does not open."""

    of: Annotated[str, AfterValidator(_holiday_code), Field(max_length=20, examples=["US", "US-CA", "IT"])] | None = (
        None
    )
    """The country or subdivision whose public holidays apply, observed days included."""
    added: tuple[date, ...] = ()
    """Further dates on which the calendar does not open."""
    removed: tuple[date, ...] = ()
    """Public holidays on which the calendar opens nevertheless."""

    @model_validator(mode="after")
    def _either_added_or_removed(self) -> Self:
        for index, day in enumerate(self.removed):
            if day in self.added:
                raise field_error(("removed", index), day, f"{day} is also in `added`; keep one of the two")
        return self

    @property
    def holidays(self) -> Holidays:
        return Holidays(self.of, frozenset(self.added), frozenset(self.removed))


class Calendar(YamlModel):
    """A business calendar: the opening hours at a place. Business time counts only while it is open."""

    zone: Zone
    """The IANA time zone of the opening hours and holidays."""
    open: Annotated[dict[DaySpan, OpeningHours], Field(examples=[{"monday-friday": "08:00-17:00"}])]
    """The opening hours of each weekday or range of weekdays."""
    holidays: HolidayRule = HolidayRule()
    """The days on which the calendar does not open."""
    business_day: Duration | None = None
    """The length of one business day. Defaults to the length of the open days; required if these differ in length."""

    @model_validator(mode="after")
    def _opens(self) -> Self:
        lengths = {sum(end - start for start, end in spans) for spans in self._week().values()}
        if not lengths:
            raise field_error(("open",), {}, "never opens; add hours, for example monday-friday: 08:00-17:00")
        if self.business_day is None and len(lengths) > 1:
            message = "is missing, and the open days differ in length; add it, for example business_day: 9h"
            raise field_error(("business_day",), None, message)
        if self.business_day is not None and (self.business_day.business or self.business_day.micros > DAY):
            message = f"`{self.business_day}` is not the length of a day; write elapsed time up to 24h, such as 9h"
            raise field_error(("business_day",), self.business_day, message)
        return self

    @property
    def day_length(self) -> int:
        """One business day in microseconds (docs/rules.md#2-6)."""
        if self.business_day is not None:
            return self.business_day.micros
        return sum(end - start for start, end in next(iter(self._week().values())))

    def business(self, name: str) -> Business:
        """The calendar's clock."""
        return Business(name, self.zone, self._week(), self.holidays.holidays)

    def open_days(self, year: int) -> int:
        """The number of days on which the calendar opens in that year, clock changes aside."""
        week = frozenset(self._week())
        first, last = date(year, 1, 1), date(year, 12, 31)
        # A year has 52 of each weekday, and one more of the weekdays of its first and last day.
        days = 52 * len(week) + len(week & {first.weekday(), last.weekday()})
        holidays = self.holidays.holidays.between(year, year)
        return days - sum(day.year == year and day.weekday() in week for day in holidays)

    def _week(self) -> dict[int, tuple[tuple[int, int], ...]]:
        return windows_by_weekday(self.open, "open")
