"""Splits the text of an iCalendar (RFC 5545) into its events, so that a broken event cannot harm the others."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tocsin.characters import clean_line

PERSON_PROPERTY: Final = "X-TOCSIN-PERSON"
"""The property with the id of a person of the directory, in iCalendars that we export."""

_COMPONENTS: Final = frozenset({"VEVENT", "VTIMEZONE", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"})
_EVENT_PARTS: Final = frozenset({"VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"})
_OTHER_PARTS: Final = frozenset({"STANDARD", "DAYLIGHT", "AVAILABLE"})
_EVENT_TIMES: Final = frozenset({"DTSTART", "DTEND", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"})
# A VCALENDAR has none of these (RFC 7986 gives it DESCRIPTION, UID, URL, CATEGORIES and others).
_EVENT_PROPERTIES: Final = _EVENT_TIMES | {
    *("SUMMARY", "ATTENDEE", "ORGANIZER", "DURATION", "LOCATION", "STATUS", "TRANSP", "SEQUENCE", PERSON_PROPERTY),
}
_DATE_PROPERTIES: Final = frozenset({"DTSTART", "DTEND", "EXDATE", "RDATE", "RECURRENCE-ID"})
_NO_BEGIN: Final = "has no BEGIN:VEVENT; add it, or export the calendar again"
_NO_END: Final = "has no END:VEVENT; add it, or export the calendar again"
_MISPLACED: Final = "is inside BEGIN:{kind}; write BEGIN:VEVENT and END:VEVENT, or export the calendar again"
_START: Final = re.compile(r"BEGIN\s*:\s*VCALENDAR", re.IGNORECASE)
_JOINED: Final = re.compile(r"(?<=END:VCALENDAR)(?=BEGIN:VCALENDAR)", re.IGNORECASE)
_FOLD: Final = re.compile(r"\n[ \t]")
_EDGE: Final = re.compile(r"\s*(BEGIN|END)\s*:\s*(\S+)\s*", re.IGNORECASE)
_NAME: Final = re.compile(r"\s*([A-Za-z0-9-]+)\s*(?=[;:])")
_UNQUOTED: Final = re.compile(r'(?:[^":]|"[^"]*")*(?=:)')
_PARAMETER: Final = re.compile(r';\s*([A-Za-z0-9-]+)\s*=((?:"[^"]*"|[^";])*)')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class ContentLine:
    """A property. `name` and the names of `parameters` are in upper case."""

    name: str
    parameters: Mapping[str, str]
    value: str

    @property
    def text(self) -> str:
        """The value without the escapes of a text, in one line."""
        return clean_line(_ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], self.value))


@dataclass(frozen=True, slots=True)
class EventText:
    """The lines of a VEVENT, without those of its alarms. `problem` says what is wrong with its BEGIN and END."""

    lines: Sequence[str]
    problem: str = ""


@dataclass(slots=True)
class CalendarText:
    """A VCALENDAR: its own lines, and those of its time zones and events. `loose_ends` are END lines of nothing."""

    lines: list[str] = field(default_factory=list)
    zones: list[Sequence[str]] = field(default_factory=list)
    events: list[EventText] = field(default_factory=list)
    loose_ends: list[str] = field(default_factory=list)
    is_complete: bool = False


def split_calendars(text: str) -> list[CalendarText]:
    """Return the VCALENDARs of a text; empty if there is none. Takes time linear in the length of the text."""
    splitter = _Splitter()
    for line in _unfold(text):
        edge = _EDGE.fullmatch(line)
        if edge is None:
            splitter.add(line)
        elif edge[1].upper() == "BEGIN":
            splitter.begin(edge[2].upper(), line)
        else:
            splitter.end(edge[2].upper(), line)
    splitter.close(_NO_END)
    return splitter.calendars


def line_name(line: str) -> str | None:
    """Return the name of the property that a line holds, in upper case, or None if it has none."""
    found = _NAME.match(line)
    return found[1].upper() if found else None


def parse_line(line: str) -> ContentLine | None:
    """Return the property that a line holds, or None if the line is not valid."""
    found = _NAME.match(line)
    if found is None:
        return None
    name, rest = found[1].upper(), line[found.end() :]
    is_date = name in _DATE_PROPERTIES
    # A date has no colon, so the last one ends the parameters: `TZID=tzone://Microsoft/Utc` is common without quotes.
    head, colon, value = rest.rpartition(":")
    if not (is_date and _has_parameters_only(head)):
        quoted = _UNQUOTED.match(rest)
        head, colon, value = (quoted[0], ":", rest[quoted.end() + 1 :]) if quoted else rest.partition(":")
    if not colon or (is_date and not _has_parameters_only(head)):
        return None  # `DTSTART;TZID:...` has lost its zone
    parameters = {key.upper(): text.strip().strip('"') for key, text in _PARAMETER.findall(head)}
    return ContentLine(name, parameters, value.strip())


def shown(text: str) -> str:
    """Return a text for a message: one line of at most 80 characters."""
    return clean_line(text[:400])[:80]


def _has_parameters_only(text: str) -> bool:
    return not _PARAMETER.sub("", text).strip()


def _unfold(text: str) -> Iterator[str]:
    """Yield the lines from the first BEGIN:VCALENDAR on, also where a byte order mark or a page stands before it."""
    text = _JOINED.sub("\n", text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n"))
    start = _START.search(text)
    lines = _FOLD.sub("", text[start.start() :]).split("\n") if start else ()
    return (line for line in lines if line and not line.isspace())


class _Splitter:
    """The components found so far, and the one that is open. Components of another component are `inner`.

    A property of an event outside any component opens an event that has no BEGIN line.
    """

    def __init__(self) -> None:
        self.calendars: list[CalendarText] = []
        self._open: str | None = None
        self._lines: list[str] = []
        self._inner: list[str] = []
        self._inner_lines: list[str] = []
        self._has_begin = True

    def begin(self, kind: str, line: str) -> None:
        if kind == "VCALENDAR":
            self.close(_NO_END)
            self.calendars.append(CalendarText())
        elif not self.calendars:
            return
        elif kind in _COMPONENTS or self._open is None:
            self.close(_NO_END)
            self._open = kind
        else:
            self._inner.append(kind)
            if self._open == "VTIMEZONE":
                self._lines.append(line)

    def add(self, line: str) -> None:
        if self._inner and self._open != "VTIMEZONE":
            self._inner_lines.append(line)
            return
        if self._open is None and line_name(line) in _EVENT_PROPERTIES:
            self._open, self._has_begin = "VEVENT", False
        self._lines.append(line)

    def end(self, kind: str, line: str) -> None:
        if not self.calendars:
            return
        if kind == "VCALENDAR":
            self.close(_NO_END)
            self.calendars[-1].is_complete = True
        elif kind in self._inner:
            if kind == self._inner[0]:
                self._close_inner()
            else:
                del self._inner[self._inner.index(kind) :]
            if self._open == "VTIMEZONE":
                self._lines.append(line)
        elif kind == self._open:
            self.close("")
        elif kind == "VEVENT" and self._open not in _COMPONENTS:
            self._open, self._has_begin = "VEVENT", self._open is not None
            self.close(_NO_BEGIN)
        else:
            self.calendars[-1].loose_ends.append(line)

    def close(self, problem: str) -> None:
        """Store the open component, or the lines between two components."""
        self._close_inner()
        lines, kind, has_begin = self._lines, self._open, self._has_begin
        self._lines, self._open, self._has_begin = [], None, True
        if not self.calendars:
            return
        if kind is None or not has_begin:
            self.calendars[-1].lines.extend(lines)
        if kind == "VTIMEZONE":
            self.calendars[-1].zones.append(lines)
        elif kind == "VEVENT" and lines:
            self.calendars[-1].events.append(EventText(lines, problem if has_begin else _NO_BEGIN))
        elif kind is not None:
            self._add_misplaced(kind, lines)

    def _close_inner(self) -> None:
        kinds, lines = self._inner, self._inner_lines
        self._inner, self._inner_lines = [], []
        if kinds:
            self._add_misplaced(kinds[0], lines)

    def _add_misplaced(self, kind: str, lines: Sequence[str]) -> None:
        """Store the lines of a component as an event if only an event can have them."""
        if kind in _COMPONENTS or kind in _OTHER_PARTS or kind.startswith("X-"):
            return
        signs = _EVENT_TIMES if kind in _EVENT_PARTS else _EVENT_PROPERTIES
        if any(line_name(line) in signs for line in lines):
            self.calendars[-1].events.append(EventText(lines, _MISPLACED.format(kind=shown(kind))))
