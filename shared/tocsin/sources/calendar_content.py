"""What is read from an iCalendar, in the form in which the child process hands it over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from tocsin.directory import CalendarEvent, LeftOutEvent


@dataclass(frozen=True, slots=True)
class CalendarContent:
    """The events of some years (UTC), each sorted, and what of the calendar cannot be read.

    `problem` says why nothing can be read; None if something can.
    """

    years: Mapping[int, tuple[CalendarEvent, ...]] = field(default_factory=dict)
    left_out: tuple[LeftOutEvent, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


CONTENT: TypeAdapter[CalendarContent] = TypeAdapter(CalendarContent)
