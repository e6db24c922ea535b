"""The properties of a VEVENT that matter for who is on call."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from tocsin.characters import clean_line
from tocsin.directory.errors import UnreadableEventError
from tocsin.directory.ical.calendar_time import read_duration, read_time
from tocsin.directory.ical.text import PERSON_PROPERTY, ContentLine, line_name, parse_line, shown

_MAX_SUMMARY: Final = 200
_SINGLE: Final = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID")
_RECURRING: Final = ("RRULE", "RDATE", "EXRULE", "EXDATE")
_OTHERS: Final = ("UID", "SEQUENCE", "STATUS", "SUMMARY", "ATTENDEE", PERSON_PROPERTY)
_NAMING: Final = ("SUMMARY", "ATTENDEE", PERSON_PROPERTY)
_USED: Final = frozenset((*_SINGLE, *_RECURRING, *_OTHERS))
_BROKEN: Final = re.compile(rf"\s*({'|'.join(sorted(_USED))})(?![A-Z0-9-])")
"""Upper case only: a line of a broken text may begin with `Status`."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_INSTANT: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z?")
_CHECKED: Final = {
    "SEQUENCE": _NUMBER,
    "PRIORITY": _NUMBER,
    "DTSTAMP": _INSTANT,
    "CREATED": _INSTANT,
    "LAST-MODIFIED": _INSTANT,
    "GEO": re.compile(r"[0-9.+-]+;[0-9.+-]+"),
}
"""Properties that are listed if they are invalid, and then ignored."""
_UNTIL: Final = re.compile(r"UNTIL\s*=\s*([0-9]{8})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EventProperties:
    """The properties of a VEVENT by name, and whom it names. `number` is its place in the text.

    `problem` says why it cannot be read, if that is known. `ignored` are broken lines that do not matter. `addresses`
    and `names` are those of the attendees who have not declined.
    """

    number: int
    lines: Mapping[str, Sequence[ContentLine]]
    problem: str
    ignored: Sequence[str]
    person: str
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    summary: str
    sequence: int

    @classmethod
    def read(cls, number: int, lines: Sequence[str], problem: str) -> Self:
        """Return the properties in these lines."""
        found: dict[str, list[ContentLine]] = {}
        broken, ignored = [], []
        for text in lines:
            name = line_name(text)
            line = parse_line(text) if name in _USED else None
            if line is not None and _is_valid(line.name, text):
                found.setdefault(line.name, []).append(line)
            elif _BROKEN.match(text):
                broken.append(text)
            elif name is None or not _is_valid(name, text):
                ignored.append(text)
        if broken and not problem:
            problem = f"has the invalid line `{shown(broken[0])}`; correct it"
        addresses, names = _read_attendees(found.get("ATTENDEE", ()))
        titles = [line.text for line in found.get("SUMMARY", ())]
        titles += [shown(text) for text in broken if text.lstrip().startswith(_NAMING)]
        persons = [line.text for line in found.get(PERSON_PROPERTY, ())]
        return cls(
            number=number,
            lines=found,
            problem=problem,
            ignored=ignored,
            person=persons[0] if persons else "",
            addresses=addresses,
            names=names,
            summary=" ".join(dict.fromkeys(titles))[:_MAX_SUMMARY],
            sequence=max((int(line.value) for line in found.get("SEQUENCE", ())), default=0),
        )

    def all(self, name: str) -> Sequence[ContentLine]:
        """All lines of a property."""
        return self.lines.get(name, ())

    def first(self, name: str) -> ContentLine | None:
        """The first line of a property, or None."""
        return next(iter(self.all(name)), None)

    def text(self, name: str) -> str:
        """The value of a property, empty without it."""
        line = self.first(name)
        return line.text if line else ""

    def check(self) -> None:
        """Raise UnreadableEventError if the event has a `problem`, or several different values of a property."""
        if self.problem:
            raise UnreadableEventError(self.problem)
        for name in _SINGLE:
            if any(line != self.first(name) for line in self.all(name)):
                raise UnreadableEventError(f"has several different {name}; keep one")

    @property
    def is_cancelled(self) -> bool:
        """Whether the event does not take place."""
        return self.text("STATUS").upper() == "CANCELLED"

    @property
    def written_start(self) -> str:
        """The start as written in the calendar, with its time zone."""
        line = self.first("DTSTART")
        if line is None:
            return ""
        zone = line.parameters.get("TZID")
        return shown(f"{line.value} {zone}" if zone else line.value)

    @property
    def over_at(self) -> datetime | None:
        """An instant from which the event is certainly over; None if unknown."""
        last = [read_time(line.value, None) for line in (*self.all("DTSTART"), *self.all("DTEND"))]
        length = timedelta(days=2)
        for line in self.all("DURATION"):
            duration = read_duration(line.value)
            if duration is None:
                return None
            length += min(duration.total, timedelta(days=366))
        for line in self.all("RRULE"):
            found = _UNTIL.search(line.value)
            last.append(read_time(found[1], None) if found else None)
        days = [one.local for one in last if one is not None]
        if self.problem or "DTSTART" not in self.lines or "RDATE" in self.lines or len(days) < len(last):
            return None
        length += max(days) - min(days) if "RRULE" in self.lines else timedelta()
        return max(days).replace(tzinfo=UTC) + length


def _read_attendees(lines: Sequence[ContentLine]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    addresses, names = [], []
    for line in lines:
        if line.parameters.get("PARTSTAT", "").upper() == "DECLINED":
            continue
        values = (line.value, line.parameters.get("EMAIL", ""))
        addresses += [address for value in values if "@" in (address := _read_address(value))]
        if name := clean_line(line.parameters.get("CN", "")):
            names.append(name)
    return tuple(dict.fromkeys(addresses)), tuple(dict.fromkeys(names))


def _read_address(value: str) -> str:
    return value.strip().casefold().removeprefix("mailto:").strip(" <>")


def _is_valid(name: str, text: str) -> bool:
    if name not in _CHECKED:
        return True
    line = parse_line(text)
    return line is not None and _CHECKED[name].fullmatch(line.value) is not None
