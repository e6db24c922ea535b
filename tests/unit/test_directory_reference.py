"""Rotations, hours, cover and customers over two years of clock changes, compared with a reference implementation."""

import json
import random
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.reference_on_call import STEP, hours_after, walk
from support.search_budget import tries
from tocsin.directory import Directory, Holder, ICalendar, compute_shifts, export_calendar, load_directory

START, END = datetime(2025, 2, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)
ZONES = ("America/New_York", "Europe/Rome", "Australia/Lord_Howe")  # forward and back, north and south, by half an hour
ROLE = "service_desk_team_lead"
CUSTOMERS = (None, "acme")
PEOPLE = [f"p{number}" for number in range(6)]
WINDOWS = ("08:00-18:00", "00:00-08:00, 18:00-24:00", "01:30-02:30", "02:00-03:00", "09:00-12:00, 12:30-17:00")
DAYS = ("monday-friday", "saturday", "sunday", "saturday-sunday")


def random_rotation(chance: random.Random, zone: str) -> dict[str, Any]:
    first = datetime(2025, 1, 1) + timedelta(days=chance.randrange(60), minutes=30 * chance.randrange(48))  # noqa: DTZ001 (a wall clock shows no zone)
    rotation: dict[str, Any] = {"zone": zone, "members": chance.sample(PEOPLE, chance.randint(1, 4))}
    if chance.random() < 0.3:
        times = sorted({first + timedelta(hours=chance.randrange(15_000)) for _ in range(30)})
        rotation["handovers"] = [f"{time:%Y-%m-%dT%H:%M}" for time in times]
    else:
        # Half of them begin at an hour that clock changes skip or repeat.
        time = first.replace(hour=chance.choice((1, 2))) if chance.random() < 0.5 else first
        rotation |= {"turns": chance.choice(("weekly", "daily", "12h", "1h", "50h")), "start": f"{time:%Y-%m-%dT%H:%M}"}
    if chance.random() < 0.6:
        days = ["monday-friday", *chance.sample(DAYS[1:3], 1)] if chance.random() < 0.5 else [chance.choice(DAYS)]
        rotation["only"] = {span: chance.choice(WINDOWS) for span in days}
    return rotation


def spans(chance: random.Random, count: int, longest: int) -> list[dict[str, str]]:
    """Spans that do not overlap, as `from` and `to`."""
    found = []
    at = START + timedelta(hours=chance.randrange(2000))
    for _ in range(count):
        end = at + STEP * chance.randint(1, longest * 48)
        found.append({"from": at.isoformat(), "to": end.isoformat()})
        at = end + STEP * chance.randrange(60 * 48)
    return found


def random_directory(seed: int, zone: str) -> dict[str, Any]:
    chance = random.Random(f"{seed} {zone}")
    entries: list[dict[str, Any]] = []
    for customer in ({}, {"customer": "acme"}):
        entries += [{"rotation": name, **customer} for name in chance.sample(("one", "two", "three"), 2)]
        entries += [{"person": chance.choice(PEOPLE), **span, **customer} for span in spans(chance, 4, 10)]
    entries[0] |= {"from": "2025-06-01T00:00:00Z"} if chance.random() < 0.5 else {"to": "2026-09-01T12:30:00Z"}
    chance.shuffle(entries)
    if chance.random() < 0.5:
        entries = [entry for entry in entries if "person" not in entry or entry.get("customer")]
        entries.append({"person": "p0"})
    # People are covered by people of a higher number only, so there are no cycles.
    away = [{"instead_of": PEOPLE[n], "person": PEOPLE[chance.randint(n + 1, 5)]} for n in chance.sample(range(5), 3)]
    covers = [{**who, **span} for who in away for span in spans(chance, 5, 20)]
    for customer in ({}, {"customer": "acme"}):
        covers += [{"role": ROLE, "person": chance.choice(PEOPLE), **span, **customer} for span in spans(chance, 6, 4)]
    return {
        "people": {name: {"name": f"Person {name}", "email": f"{name}@example.com"} for name in PEOPLE},
        "rotations": {name: random_rotation(chance, zone) for name in ("one", "two", "three")},
        "roles": {ROLE: entries},
        "overrides": covers,
    }


def assigned(holder: Holder | None) -> tuple[str, str] | None:
    if holder is None:
        return None
    kind = holder.rule.partition(" ")[0].rstrip(":")
    return holder.person, kind if kind in ("override", "customer") else "general"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("seed", range(tries(1)))
def test_the_directory_agrees_with_the_reference(seed: int, zone: str) -> None:
    written = random_directory(seed, zone)
    built = load(written)
    coming = [compute_shifts(built, ROLE, customer, START, END) for customer in CUSTOMERS]
    current = [next(shifts) for shifts in coming]
    held = 0
    for number, (at, expected) in enumerate(walk(written, START, END, ROLE, CUSTOMERS)):
        current = [next(more) if now.ends_at <= at else now for now, more in zip(current, coming, strict=True)]
        assert [assigned(shift.holder) for shift in current] == expected, at
        if number % 29 == 0:
            last = at + STEP - timedelta(microseconds=1)
            for instant in (at, last):
                assert [assigned(built.holder(ROLE, customer, instant)) for customer in CUSTOMERS] == expected, instant
        held += None not in expected
    assert held > 1000


AROUND = (
    ("1h", "00:00", None),
    ("daily", "02:00", None),
    ("daily", "02:30", None),
    ("daily", "01:30", None),
    ("12h", "02:30", {"monday-sunday": "01:30-02:30"}),
    ("daily", "12:00", {"monday-sunday": "00:00-01:30"}),
    ("weekly", "02:30", {"monday-sunday": "02:30-24:00"}),
    ("50h", "01:00", {"saturday-sunday": "02:00-03:00", "monday": "00:00-24:00"}),
)


TIMES = ("01:30", "02:00", "02:30")
HALF_HOURS = tuple(f"{hour:02}:{minute}" for hour in range(24) for minute in ("00", "30"))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("turns", "time", "only"), AROUND)
def test_turns_around_every_clock_change(zone: str, turns: str, time: str, only: dict[str, str] | None) -> None:
    rotation = {"zone": zone, "members": PEOPLE[:3], "turns": turns, "start": f"2025-01-05T{time}"}
    written = with_rotation(rotation | ({"only": only} if only else {}))
    assert_agrees(load(written), written, zone)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("times", [*((time,) for time in TIMES), HALF_HOURS], ids=[*TIMES, "half hours"])
def test_listed_handovers_around_every_clock_change(zone: str, times: tuple[str, ...]) -> None:
    days = (change + timedelta(day) for change in clock_changes(zone) for day in (-1, 0, 1, 2))
    handovers = [f"{day:%Y-%m-%d}T{time}" for day in days for time in times]
    written = with_rotation({"zone": zone, "members": PEOPLE[:3], "handovers": handovers})
    assert_agrees(load(written), written, zone)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("turns", "time"), [*(("weekly", time) for time in TIMES), ("daily", "02:30")])
@pytest.mark.parametrize("zone_of", ["event", "VTIMEZONE", "rotation"])
def test_a_series_of_events_around_every_clock_change(zone: str, turns: str, time: str, zone_of: str) -> None:
    written = with_rotation({"zone": zone, "calendar": {"file": "on-call.ics"}})
    first, length = datetime.fromisoformat(f"2025-01-05T{time}"), timedelta(7 if turns == "weekly" else 1)
    begins, ends = "DTSTART", "DURATION:P{days}D"
    if zone_of != "rotation":
        name = zone if zone_of == "event" else "Desk"
        begins, ends = f"DTSTART;TZID={name}", f"DTEND;TZID={name}:{{end:%Y%m%dT%H%M%S}}"
    events = "".join(
        f"BEGIN:VEVENT\nUID:{person}\nSUMMARY:{person}\n{begins}:{start:%Y%m%dT%H%M%S}\n"
        f"{ends.format(days=length.days, end=start + length)}\n"
        f"RRULE:FREQ={turns};INTERVAL=3\nEND:VEVENT\n"
        for person, start in zip(PEOPLE, (first, first + length, first + 2 * length), strict=False)
    )
    described = vtimezone(zone) if zone_of == "VTIMEZONE" else ""
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{described}{events}END:VCALENDAR\n"
    calendar = ICalendar(text, zone if zone_of == "rotation" else "UTC")
    directory = load(written).with_calendars({"one": calendar})
    as_turns = {"zone": zone, "members": PEOPLE[:3], "turns": turns, "start": f"2025-01-05T{time}"}
    skipped = "jump" if zone_of == "rotation" else "unchanged clock"
    assert_agrees(directory, with_rotation(as_turns | {"skipped": skipped}), zone)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("hours", "time"), [(24, "12:00"), (12, "18:00"), (36, "23:30")])
def test_the_hours_of_a_duration_are_exact_around_every_clock_change(zone: str, hours: int, time: str) -> None:
    first, every = datetime.fromisoformat(f"2025-01-05T{time}"), timedelta(days=2)
    event = f"DTSTART;TZID={zone}:{first:%Y%m%dT%H%M%S}\nDURATION:PT{hours}H\nRRULE:FREQ=DAILY;INTERVAL=2\nSUMMARY:p1"
    text = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"
    rotation = {"zone": "UTC", "calendar": {"file": "on-call.ics"}}
    directory = load(with_rotation(rotation)).with_calendars({"one": ICalendar(text, "UTC")})
    times = [first + every * number for number in range(400)]
    for change in clock_changes(zone):
        held = hours_after(zone, times, hours, change - every, change + every)
        assert {at: directory.holder(ROLE, None, at) is not None for at in held} == held


def vtimezone(zone: str) -> str:
    """A VTIMEZONE named `Desk` with the clock changes of the zone."""
    lines = []
    for day in clock_changes(zone):
        for number in range(48):
            before, after = ((day + STEP * step).astimezone(ZoneInfo(zone)) for step in (number, number + 1))
            if before.utcoffset() != after.utcoffset():
                begins = before.replace(tzinfo=None) + STEP  # as a clock shows it that nobody has changed yet
                lines += ["BEGIN:STANDARD", f"DTSTART:{begins:%Y%m%dT%H%M%S}", f"TZOFFSETFROM:{before:%z}"]
                lines += [f"TZOFFSETTO:{after:%z}", "END:STANDARD"]
    return "\n".join(["BEGIN:VTIMEZONE", "TZID:Desk", *lines, "END:VTIMEZONE", ""])


def load(written: dict[str, Any]) -> Directory:
    return load_directory(json.dumps(written), "directory.yaml")


def with_rotation(rotation: dict[str, Any]) -> dict[str, Any]:
    """A directory with one rotation, which holds the role."""
    return {
        "people": {name: {"name": name, "email": f"{name}@example.com"} for name in PEOPLE},
        "rotations": {"one": rotation},
        "roles": {ROLE: [{"rotation": "one"}]},
        "overrides": [],
    }


def clock_changes(zone: str) -> list[datetime]:
    """The days of the two years (UTC) during which the clocks of the zone change."""
    wall = ZoneInfo(zone)
    days = [START + timedelta(days=day) for day in range((END - START).days)]
    found = [
        day for day, next_ in pairwise(days) if day.astimezone(wall).utcoffset() != next_.astimezone(wall).utcoffset()
    ]
    assert len(found) == 4
    return found


def assert_agrees(directory: Directory, written: dict[str, Any], zone: str) -> None:
    """Compare with the reference for `written`, from the day before each clock change to the day after it."""
    for change in clock_changes(zone):
        start, end = change - timedelta(1), change + timedelta(2)
        coming = list(compute_shifts(directory, ROLE, None, start, end))
        for at, expected in walk(written, start, end, ROLE, [None]):
            current = next(shift for shift in reversed(coming) if shift.starts_at <= at)
            assert [assigned(directory.holder(ROLE, None, at))] == [assigned(current.holder)] == expected, at


@pytest.mark.parametrize("seed", range(tries(3)))
def test_an_exported_calendar_imports_as_the_same_holders(seed: int) -> None:
    built = load(random_directory(seed, ZONES[seed % 3]))
    start, end = START + timedelta(days=30), START + timedelta(days=90)
    text = export_calendar(compute_shifts(built, ROLE, "acme", start, end), ROLE, "acme", start).decode()
    again = load(
        {
            "people": {name: {"name": "The same name", "email": f"{name}@example.com"} for name in PEOPLE},
            "rotations": {"exported": {"zone": "Asia/Tokyo", "calendar": {"file": "exported.ics"}}},
            "roles": {ROLE: [{"rotation": "exported"}]},
        }
    ).with_calendars({"exported": ICalendar(text, "Asia/Tokyo")})
    assert turns(again, None, start, end) == turns(built, "acme", start, end)


def turns(directory: Directory, customer: str | None, start: datetime, end: datetime) -> list[tuple[datetime, Any]]:
    """(start, person) of each turn; a change of the rule alone begins no turn."""
    shifts = compute_shifts(directory, ROLE, customer, start, end)
    by_person = groupby(shifts, key=lambda shift: shift.holder and shift.holder.person)
    return [(next(same).starts_at, person) for person, same in by_person]
