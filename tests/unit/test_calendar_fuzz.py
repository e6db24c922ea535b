"""Damaged calendars: whatever happens to one event, the others stay as they are and nothing unexpected is raised."""

import random
from datetime import UTC, datetime

import pytest
from support.calendars import calendar, directory_with
from support.search_budget import tries
from tocsin.directory import CalendarEvent, ICalendar, lint_directory

ZONE = """\
BEGIN:VTIMEZONE
TZID:Desk
BEGIN:DAYLIGHT
DTSTART:20070311T020000
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:20071104T020000
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
END:STANDARD
END:VTIMEZONE
"""
VICTIM = [
    "BEGIN:VEVENT",
    "UID:victim",
    "SEQUENCE:1",
    "DTSTART;TZID=Desk:20260608T090000",
    "DTEND;TZID=Desk:20260608T170000",
    "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU;UNTIL=20271231T000000Z",
    "EXDATE;TZID=Desk:20260622T090000",
    "RDATE;VALUE=PERIOD:20260701T090000Z/PT2H",
    'ATTENDEE;CN="Ortega, Sam";PARTSTAT=ACCEPTED:mailto:sam.ortega@example.com',
    "SUMMARY:On call\\, Sam Ortega",
    "BEGIN:VALARM",
    "TRIGGER:-PT15M",
    "END:VALARM",
    "STATUS:CONFIRMED",
    "END:VEVENT",
]
OTHERS = (
    "DTSTART;TZID=America/New_York:20260601T090000\nDURATION:P1D\nRRULE:FREQ=DAILY;INTERVAL=3\nSUMMARY:Maya Lindqvist",
    "DTSTART:20260610T090000Z\nDTEND:20260610T170000Z\nSUMMARY:other",
    "DTSTART;VALUE=DATE:20260612\nRRULE:FREQ=MONTHLY;BYDAY=-1FR\nSUMMARY:Tom\u00e1s Herrera",
)
YEARS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)
SIGNS = (*':;=,"\\/ \t\n\r\0TZ0129-+A', "\u2028", "\ufeff", "\u00e9", "BEGIN:VEVENT", "99999999", "VALUE=DATE")


def damage(chance: random.Random, lines: list[str]) -> list[str]:
    """The lines with one to three changes."""
    lines = list(lines)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        line = lines[at]
        place = chance.randrange(len(line) + 1)
        kind = chance.randrange(7)
        if kind == 0 and len(lines) > 1:
            del lines[at]
        elif kind == 1:
            lines.insert(at, line)
        elif kind == 2:
            lines[at] = line[:place] + chance.choice(SIGNS) + line[place:]
        elif kind == 3:
            lines[at] = line[:place] + chance.choice(SIGNS) + line[place + 1 :]
        elif kind == 4:
            lines[at] = line[:place]
        elif kind == 5:
            lines[at] = line.replace(chance.choice(("2026", "WEEKLY", "PT2H", "Desk", "=2", ":")), chance.choice(SIGNS))
        else:
            lines.insert(chance.randrange(len(lines)), lines.pop(at))
    return lines


def events(text: str) -> list[CalendarEvent]:
    return [event for year in (2026, 2027) for event in ICalendar(text, "Europe/Rome").year(year)]


@pytest.mark.rule("5.32")
@pytest.mark.parametrize("seed", range(tries(4)))
def test_damage_to_an_event_leaves_the_others_as_they_are(seed: int) -> None:
    chance = random.Random(seed)
    good = calendar(*OTHERS, head=ZONE)
    kept = {event for event in events(good) if event.summary != "other"}
    place = good.index("BEGIN:VEVENT\nUID:1\n")
    for _ in range(30):
        # A blank before the first line would make it a part of the event before it.
        damaged = "\n".join(damage(chance, VICTIM)).lstrip() + "\n"
        text = good[:place] + damaged + good[place:]
        assert kept <= set(events(text)), damaged


@pytest.mark.parametrize("seed", range(tries(3)))
def test_a_damaged_calendar_is_read(seed: int) -> None:
    chance = random.Random(seed)
    lines = calendar(*OTHERS, "\n".join(VICTIM[1:-1]), head=ZONE).splitlines()
    for _ in range(20):
        text = "\n".join(damage(chance, damage(chance, damage(chance, lines))))
        if "BEGIN:VCALENDAR" not in text.split("\n"):
            continue
        directory = directory_with(text, zone="Europe/Rome")
        assert all(found.message for found in lint_directory(directory, *YEARS))


@pytest.mark.rule("5.32")
@pytest.mark.parametrize("seed", range(tries(4)))
def test_a_damaged_event_is_read_or_reported(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        damaged = "\n".join(damage(chance, VICTIM)).lstrip() + "\n"
        text = calendar(head=ZONE).replace("END:VCALENDAR", damaged + "END:VCALENDAR")
        read = ICalendar(text, "Europe/Rome")
        assert read.left_out or read.notes or any(read.year(year) for year in (2026, 2027)), damaged
