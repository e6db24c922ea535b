"""Instants and durations in words, in the zone of the page. Pure.

A sentence is a tuple of texts and `Moment` values, so that a page can render each instant as a `<time>` element.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.instants import render_instant

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant and the words that show it."""

    at: datetime
    words: str

    @property
    def iso(self) -> str:
        """The instant for the `datetime` attribute."""
        return render_instant(self.at)

    def __str__(self) -> str:
        return self.words


Words = tuple[str | Moment, ...]
"""A sentence in parts."""


def plain(words: Iterable[str | Moment]) -> str:
    """The sentence as text."""
    return "".join(str(part) for part in words)


@dataclass(frozen=True, slots=True)
class PageTime:
    """The zone of a page, and the instant (business time) that it shows as now."""

    zone: ZoneInfo
    now: datetime

    def local(self, at: datetime) -> datetime:
        """What a wall clock in the zone shows at the instant."""
        return at.astimezone(self.zone)

    def day(self, at: datetime) -> str:
        """`Friday 5 June`, with the year if it is another one than that of now."""
        return self.date_words(self.local(at).date())

    def date_words(self, day: date) -> str:
        """`Friday 5 June`, with the year if it is another one than that of now."""
        year = "" if day.year == self.local(self.now).year else f" {day.year}"
        return f"{WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}{year}"

    def short_day(self, at: datetime) -> str:
        """`Fri 5 Jun`."""
        day = self.local(at).date()
        return f"{WEEKDAYS[day.weekday()][:3]} {day.day} {_MONTHS[day.month - 1][:3]}"

    def clock(self, at: datetime) -> Moment:
        """`16:00`, with seconds unless they are zero, and with the name of the zone in an hour that occurs twice."""
        local = self.local(at)
        words = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
        if _is_repeated(local):
            words += f" {local:%Z}"
        return Moment(at, words)

    def minute(self, at: datetime) -> Moment:
        """`16:00`: as `clock`, without seconds."""
        return Moment(at, self.clock(at.replace(second=0, microsecond=0)).words)

    def instant(self, at: datetime) -> Moment:
        """`16:00` today, `yesterday 16:00`, `tomorrow 16:00`, otherwise `Friday 5 June 16:00`."""
        day = self._near_day(at)
        return Moment(at, f"{f'{self.day(at)} ' if day is None else day}{self.minute(at)}")

    def when(self, at: datetime) -> Moment:
        """`at 16:00` today, `yesterday at 16:00`, otherwise `on Friday 5 June at 16:00`."""
        day = self._near_day(at)
        named = f"on {self.day(at)} " if day is None else day
        return Moment(at, f"{named}at {self.minute(at)}")

    def full(self, at: datetime) -> Moment:
        """`Friday 5 June 16:00`, whatever day it is now."""
        return Moment(at, f"{self.day(at)} {self.minute(at)}")

    def exact(self, at: datetime) -> Moment:
        """`Friday 5 June 16:00:30`: as `full`, with seconds unless they are zero."""
        return Moment(at, f"{self.day(at)} {self.clock(at)}")

    def since(self, at: datetime) -> str:
        """`50 min ago`, `in 2 h 10 min` or `now`."""
        words = duration_words(abs(self.now - at))
        if abs(self.now - at) < timedelta(seconds=1):
            return "now"
        return f"{words} ago" if at <= self.now else f"in {words}"

    def _near_day(self, at: datetime) -> str | None:
        """The day before a time: empty for today. None if it is further away than tomorrow or yesterday."""
        days = (self.local(at).date() - self.local(self.now).date()).days
        return {0: "", -1: "yesterday ", 1: "tomorrow "}.get(days)

    @property
    def zone_words(self) -> str:
        """The zone by its name, with its offset at the page's now: `America/New_York (EDT, UTC-04:00)`."""
        if self.zone.key == "UTC":
            return "UTC"
        local = self.local(self.now)
        offset = f"{local:%z}"
        return f"{self.zone.key} ({local:%Z}, UTC{offset[:3]}:{offset[3:5]})"


def duration_words(duration: timedelta) -> str:
    """`3 d 4 h`, `2 h 15 min`, `50 min`, `12 s`: the two largest units, rounded down."""
    seconds = abs(duration) // timedelta(seconds=1)
    units = ((seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    shown = units[first : min(first + 2, 3)] or units[3:]
    return " ".join(f"{count} {unit}" for count, unit in shown if count or len(shown) == 1)


def hours_words(duration: timedelta) -> str:
    """`35 h 20 min`, `12 min`, `40 s`: without days, because a working day is not 24 h; rounded down."""
    minutes = duration // timedelta(minutes=1)
    if minutes == 0:
        return f"{duration // timedelta(seconds=1)} s"
    units = ((minutes // 60, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in units if count)


def seconds_words(duration: timedelta) -> str:
    """`36 h 5 min 30 s`, in whole seconds. Hours are not made days, because a working day is not 24 h."""
    seconds = round(duration / timedelta(seconds=1))
    units = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in units if count) or "0 s"


def _is_repeated(local: datetime) -> bool:
    """Whether the wall clock shows this time twice, because clocks are set back."""
    first, second = (local.replace(fold=fold).utcoffset() or timedelta(0) for fold in (0, 1))
    return first > second
