"""Finds the time zone that a TZID means (docs/decisions/0037-calendars-are-read-event-by-event.md)."""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import load_zone, zone_names
from tocsin.directory.errors import UnreadableEventError
from tocsin.directory.ical.calendar_time import read_time
from tocsin.directory.ical.recurrence_rule import RecurrenceRule, read_rule
from tocsin.directory.ical.text import ContentLine, parse_line, shown

_FIRST_CHANGE: Final = datetime(1969, 1, 1)  # noqa: DTZ001 (a wall clock shows no zone)
_LAST_CHANGE: Final = datetime(2101, 1, 1)  # noqa: DTZ001 (a wall clock shows no zone)
_FIRST_ONSET: Final = datetime(1600, 1, 1)  # noqa: DTZ001 (a wall clock shows no zone)
_MAX_OFFSETS: Final = 100
_PRESENT: Final = range(2000, 2038)
"""The years in which the offsets of a VTIMEZONE are compared with those of the zone of its name."""
_OFFSET: Final = re.compile(r"([+-]?)([0-9]{2}):?([0-5][0-9])(?::?([0-5][0-9]))?")
_OFFSET_NAME: Final = re.compile(r"(?:GMT|UTC|\((?:GMT|UTC))?([+-])([0-9]{1,2})(?::?([0-5][0-9]))?\)?", re.IGNORECASE)
_CITIES: Final = re.compile(r"\((?:GMT|UTC)(?:([+-][0-9]{2})[:.]([0-9]{2}))?\) (.+)", re.IGNORECASE)
_UTC_NAMES: Final = ("utc", "gmt")


@dataclass(frozen=True, slots=True)
class _ZoneText:
    """A VTIMEZONE that can be used: its zone, the offsets of the present, and whether it is cut to one change."""

    zone: ZoneInfo
    offsets: frozenset[timedelta]
    single_change: datetime | None


class CalendarZones:
    """The time zones of a VCALENDAR. `notes` say which of its VTIMEZONEs cannot be used."""

    def __init__(self, zones: Iterable[Sequence[str]]) -> None:
        self._given: dict[str, _ZoneText] = {}
        self._broken: dict[str, str] = {}
        self._found: dict[str, ZoneInfo | None] = {}
        self.notes: Final[list[str]] = []
        for lines in zones:
            name = next((line.value for line in map(parse_line, lines) if line and line.name == "TZID"), "")
            try:
                self._given.setdefault(_key(name), _read_zone(tuple(lines)))
            except UnreadableEventError as error:
                self._broken[_key(name)] = str(error)
                self.notes.append(f"the VTIMEZONE `{shown(name)}` is left out: it {error}")

    def find(self, name: str) -> ZoneInfo | None:
        """The zone that a TZID means, or None if it is unknown.

        The VTIMEZONE counts (RFC 5545, 3.2.19). But one that is a copy of a known zone is often cut to a year, or old;
        then the pinned zone counts, as everywhere (docs/decisions/0011-time-zones-are-pinned.md).
        """
        key = _key(name)
        if key not in self._found:
            given, known = self._given.get(key), known_zone(name)
            is_copy = given is not None and known is not None and _is_copy(given, known)
            self._found[key] = known if given is None or is_copy else given.zone
        return self._found[key]

    def describe_unknown(self, name: str) -> str:
        """Say why `find` does not find the zone: "has ...; what to change"."""
        if (problem := self._broken.get(_key(name))) is not None:
            return f"has the time zone `{shown(name)}`, whose VTIMEZONE {problem}"
        return f"has the unknown time zone `{shown(name)}`; add its VTIMEZONE, or choose a zone such as Europe/Berlin"


def known_zone(name: str) -> ZoneInfo | None:
    """Return the zone of an IANA name, a Windows name, a name with a vendor's prefix, or an offset; else None."""
    key = _key(name).strip("/")
    windows = key.replace(" time (us & canada)", " standard time")
    if (found := _iana_names().get(key.replace(" ", "_")) or _windows_names().get(windows)) is not None:
        return load_zone(found)
    parts = key.split("/")
    for start in range(1, len(parts)):
        rest = "/".join(parts[start:])
        if rest in _iana_names() and (start < len(parts) - 1 or rest in _UTC_NAMES):
            return load_zone(_iana_names()[rest])
    if offset := _OFFSET_NAME.fullmatch(key):
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return _fixed_zone(-minutes if offset[1] == "-" else minutes) if minutes < 24 * 60 else None
    return _zone_of_cities(key)


def _zone_of_cities(key: str) -> ZoneInfo | None:
    """The zone of a Windows title such as `(UTC+01:00) Amsterdam, Berlin, Bern`: that of a city with this offset."""
    found = _CITIES.fullmatch(key)
    if found is None:
        return None
    if found[3] == "coordinated universal time":
        return load_zone("UTC")
    hours, minutes = int(found[1] or 0), int(found[2] or 0)
    standard = timedelta(hours=hours, minutes=-minutes if (found[1] or "").startswith("-") else minutes)
    for city in found[3].split(","):
        for name in _cities().get(city.strip().replace(" ", "_"), ()):
            if min(_offsets(load_zone(name), 2025)) == standard:
                return load_zone(name)
    windows = found[3].replace(" time (us & canada)", " standard time")
    return load_zone(_windows_names()[windows]) if windows in _windows_names() else None


def _is_copy(given: _ZoneText, known: ZoneInfo) -> bool:
    """Whether a VTIMEZONE describes the known zone: it uses that zone's offsets, and all that the zone uses in a year.

    A VTIMEZONE that was cut to a single change of the zone describes it, too.
    """
    offsets = _present_offsets(known)
    if not given.offsets <= offsets:
        return False
    if given.single_change is not None:
        change = given.single_change.replace(tzinfo=UTC)
        before, after = ((change + timedelta(days=days)).astimezone(known).utcoffset() for days in (-1, 1))
        if before != after:
            return True
    return any(given.offsets == _offsets(known, year) for year in _PRESENT)


@lru_cache(maxsize=256)
def _read_zone(lines: tuple[str, ...]) -> _ZoneText:
    """Return the zone of a VTIMEZONE. Raises UnreadableEventError."""
    changes: list[tuple[datetime, timedelta, timedelta]] = []
    for properties in _observances(lines):
        before, after = (_read_offset(properties, name) for name in ("TZOFFSETFROM", "TZOFFSETTO"))
        changes.extend((at - before, before, after) for at in _onsets(properties, before))
    if not changes:
        raise UnreadableEventError("has no STANDARD and no DAYLIGHT; add one")
    if len({after for _, _, after in changes}) > _MAX_OFFSETS:
        raise UnreadableEventError(f"has more than {_MAX_OFFSETS} offsets; remove some")
    changes.sort()
    zone = _build_zone(changes[0][1], changes)
    present = [after for at, _, after in changes if at.year >= _PRESENT[0]]
    last_before = [after for at, _, after in changes if at.year < _PRESENT[0]][-1:]
    offsets = frozenset(present if len(set(present)) > 1 else present + last_before)
    return _ZoneText(zone, offsets, changes[0][0] if len(changes) == 1 else None)


def _observances(lines: Sequence[str]) -> Iterator[dict[str, list[ContentLine]]]:
    """Yield the properties of each STANDARD and DAYLIGHT."""
    current: dict[str, list[ContentLine]] | None = None
    for line in filter(None, map(parse_line, lines)):
        if line.name in ("BEGIN", "END") and line.value.upper() in ("STANDARD", "DAYLIGHT"):
            if current is not None:
                yield current
            current = {} if line.name == "BEGIN" else None
        elif current is not None:
            current.setdefault(line.name, []).append(line)
    if current is not None:
        yield current


def _onsets(properties: dict[str, list[ContentLine]], before: timedelta) -> Iterator[datetime]:
    """Yield the local times at which an observance begins. The clocks show `before` until then."""
    first = _read_onset("DTSTART", properties["DTSTART"][0].value if "DTSTART" in properties else "")
    yield first
    zone = _fixed_zone(before // timedelta(minutes=1))
    for rule in properties.get("RRULE", ()):
        if first < _FIRST_CHANGE and first.day < 29:
            first = first.replace(year=_FIRST_CHANGE.year)  # Outlook begins in 1601
        yield from _read_yearly_rule(rule.value, first, zone).between(_FIRST_CHANGE, _LAST_CHANGE)
    for dates in properties.get("RDATE", ()):
        for text in dates.value.split(","):
            yield _read_onset("RDATE", text)


def _read_onset(name: str, text: str) -> datetime:
    at = read_time(text.partition("/")[0], None)
    if at is None:
        raise UnreadableEventError(f"has an invalid {name} (`{shown(text)}`) in a STANDARD or DAYLIGHT; correct it")
    return max(at.local, _FIRST_ONSET)


def _read_yearly_rule(text: str, start: datetime, zone: ZoneInfo) -> RecurrenceRule:
    def until_of(value: str) -> datetime | None:
        until = read_time(value, None)
        if until is None:
            return None
        return until.local + timedelta(days=1) if until.is_day else until.in_zone(zone)

    rule = read_rule(text, start, until_of)
    if rule.frequency != "YEARLY":
        raise UnreadableEventError(f"changes its clocks by FREQ={rule.frequency}; write FREQ=YEARLY")
    return rule


def _read_offset(properties: dict[str, list[ContentLine]], name: str) -> timedelta:
    text = properties[name][0].value if name in properties else ""
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[2]) > 23:
        raise UnreadableEventError(f"has no valid {name}; write it like +0100")
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
    return -offset if found[1] == "-" else offset


def _build_zone(first: timedelta, changes: Sequence[tuple[datetime, timedelta, timedelta]]) -> ZoneInfo:
    """Return a zone with the offset `first` and these changes (UTC), by way of a TZif file (RFC 8536)."""
    times: dict[int, timedelta] = {int(at.replace(tzinfo=UTC).timestamp()): after for at, _, after in changes}
    offsets = list(dict.fromkeys((first, *times.values())))
    header = b"TZif2" + bytes(15)
    content = header + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    content += header + struct.pack(">6l", 0, 0, 0, len(times), len(offsets), 6)
    content += struct.pack(f">{len(times)}q", *times)
    content += bytes(offsets.index(after) for after in times.values())
    content += b"".join(struct.pack(">lbb", offset // timedelta(seconds=1), 0, 0) for offset in offsets)
    return ZoneInfo.from_file(BytesIO(content + b"local\0\n\n"))


@lru_cache(maxsize=4096)
def _fixed_zone(minutes: int) -> ZoneInfo:
    return _build_zone(timedelta(minutes=minutes), ())


@lru_cache(maxsize=1024)
def _offsets(zone: ZoneInfo, year: int) -> frozenset[timedelta]:
    days = (datetime(year, month, 15, tzinfo=UTC).astimezone(zone) for month in range(1, 13))
    return frozenset(offset for day in days if (offset := day.utcoffset()) is not None)


def _present_offsets(zone: ZoneInfo) -> frozenset[timedelta]:
    return frozenset().union(*(_offsets(zone, year) for year in _PRESENT))


def _key(name: str) -> str:
    return " ".join(name.strip().strip('"').split()).casefold()


@lru_cache
def _iana_names() -> dict[str, str]:
    return {name.casefold(): name for name in zone_names()}


@lru_cache
def _windows_names() -> dict[str, str]:
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON  # here: see `calendar._is_valid_header`

    return {name.casefold(): zone for name, zone in WINDOWS_TO_OLSON.items()}


@lru_cache
def _cities() -> dict[str, list[str]]:
    """The IANA names by their last part, such as `berlin`."""
    cities: dict[str, list[str]] = {}
    for name in sorted(zone_names()):
        cities.setdefault(name.casefold().rpartition("/")[2], []).append(name)
    return cities
