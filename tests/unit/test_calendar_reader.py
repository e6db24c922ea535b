"""iCalendars are read in child processes, which are gone afterwards, whatever happens."""

import asyncio
import codecs
from datetime import UTC, datetime

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.polling import eventually
from support.search_budget import tries
from tocsin.directory import ICalendar, ICalendarError
from tocsin.sources import calendar_reader
from tocsin.sources.calendar_child import decode_calendar, read_content
from tocsin.sources.calendar_reader import ReadCalendar, SlowCalendarError, read_calendar

CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:x
{events}END:VCALENDAR
"""
EVENT = """\
BEGIN:VEVENT
UID:{uid}
DTSTART;TZID=Europe/Berlin:20260101T090000
DTEND;TZID=Europe/Berlin:20260101T170000
RRULE:{rule}
SUMMARY:Tomás
ATTENDEE:mailto:ana@example.com
END:VEVENT
"""
WEEKLY = CALENDAR.format(events=EVENT.format(uid=1, rule="FREQ=WEEKLY"))
OCTETS = WEEKLY.encode()


def children() -> list[psutil.Process]:
    """The running calendar readers. This process may have servers of other tests as children."""
    return [child for child in psutil.Process().children() if reads_a_calendar(child)]


def reads_a_calendar(process: psutil.Process) -> bool:
    try:
        return "tocsin.sources.calendar_child" in process.cmdline()
    except psutil.Error:  # it has ended
        return False


async def has_child() -> bool:
    return bool(children())


async def has_no_child() -> bool:
    return not children()


async def test_a_child_reads_what_would_be_read_here() -> None:
    calendar, here = await read_calendar(OCTETS, "UTC", [2026, 2027]), ICalendar(WEEKLY, "UTC")
    assert calendar.year(2026) == here.year(2026)
    assert calendar.year(2026)[0].starts_at == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert (calendar.left_out, calendar.notes) == (here.left_out, here.notes)
    assert calendar.has(OCTETS, [2026, 2027])
    assert not calendar.has(OCTETS, [2028])
    assert not calendar.has(OCTETS + b" ", [2026])
    assert calendar.year(2031) == here.year(2031), "another year is read when it is needed"
    assert not children()


async def test_a_calendar_that_cannot_be_read_is_an_error_here() -> None:
    with pytest.raises(ICalendarError, match="iCalendar"):
        await read_calendar(b"<html>Sign in</html>", "UTC", [2026])


async def test_a_calendar_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_reader, "READ_SECONDS", 0.01)  # the start of the child takes longer
    message = "takes longer than 0.01 seconds to read; remove old events, and series that have ended"
    with pytest.raises(SlowCalendarError, match=message):
        await read_calendar(OCTETS, "UTC", [2026])
    assert not children()
    content = read_content(OCTETS, "UTC", [2026])
    calendar = ReadCalendar(OCTETS, "UTC", content)
    for _ in range(2):
        with pytest.raises(ICalendarError, match="takes longer"):
            calendar.year(2027)
    assert calendar.year(2026) == content.years[2026]


async def test_a_cancelled_reading_ends_its_child_which_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE_URL", "postgresql+asyncpg://me:secret@host/db")
    reading = asyncio.create_task(read_calendar(OCTETS, "UTC", [2026]))
    await eventually(has_child, "a child reads")
    assert not [name for name in children()[0].environ() if name.startswith("TOCSIN_")]
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await eventually(has_no_child, "the child is gone")


async def test_a_calendar_whose_events_need_too_much_memory_is_refused() -> None:
    event = EVENT.format(uid=1, rule="FREQ=DAILY").replace("ana@", f"{'a' * 100_000}@")
    with pytest.raises(ICalendarError, match="needs too much memory to read; remove old events, or attendees"):
        await read_calendar(CALENDAR.format(events=event).encode(), "UTC", [2026])


TEXT = "BEGIN:VCALENDAR\r\nSUMMARY:Tomás Herrera €\r\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("windows-1252"),
        TEXT.encode().replace("á".encode(), b"\xc3\r\n \xa1"),
        TEXT.encode().replace("á".encode(), b"\xc3\n\t\xa1"),
    ],
    ids=["UTF-8", "byte order mark", "UTF-16", "UTF-16 BE", "UTF-32", "Windows-1252", "folded inside", "folded by LF"],
)
def test_the_text_is_the_same_in_every_encoding(content: bytes) -> None:
    assert decode_calendar(content) == TEXT


def test_a_line_in_another_character_set_does_not_damage_the_others() -> None:
    content = "SUMMARY:Tomás\r\n".encode() + "LOCATION:Zürich\r\n".encode("latin-1")
    assert decode_calendar(content) == "SUMMARY:Tomás\r\nLOCATION:Zürich\r\n"


@settings(max_examples=tries(20))
@given(st.binary(max_size=200))
def test_every_content_has_a_text_that_can_be_written(content: bytes) -> None:
    decode_calendar(content).encode()
