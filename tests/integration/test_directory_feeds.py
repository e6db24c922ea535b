"""Calendars of rotations from files and from a real https server: changed, broken, moved, too large; no token told."""

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from support.calendar_feed import TOKEN, Feed, calendar, fed
from support.polling import eventually
from tocsin.directory import CalendarEvent, ICalendar
from tocsin.sources.directory_file import DirectoryFile

AT = datetime(2026, 6, 8, 12, tzinfo=UTC)
ROLE = "service_desk_team_lead"
DIRECTORY = """\
people:
  ana: {{ name: Ana Silva, email: ana@example.com }}
  ben: {{ name: Ben Okafor, email: ben@example.com }}
rotations:
  primary: {{ zone: UTC, calendar: {{ {source} }} }}
roles:
  service_desk_team_lead: [{{ rotation: primary }}]
"""


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    with fed(tmp_path) as served:
        monkeypatch.setenv("SSL_CERT_FILE", str(served.ca))
        yield served


def directory(folder: Path, source: str) -> DirectoryFile:
    path = folder / "directory.yaml"
    path.write_text(DIRECTORY.format(source=source))
    return DirectoryFile(path)


def who(file: DirectoryFile) -> str | None:
    known = file.current()
    assert known is not None
    found = known.holder(ROLE, None, AT)
    return found.person if found else None


def broken() -> float | None:
    return REGISTRY.get_sample_value("sla_directory_calendars_broken")


async def test_a_file_counts_when_it_changes_and_a_broken_one_leaves_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "on-call.ics"
    path.write_text(calendar("ana"))
    file = directory(tmp_path, "file: on-call.ics")
    assert (who(file), await file.note(), broken()) == ("ana", None, 0)
    for number, text in enumerate(["no calendar", calendar("ben")], 1):
        path.write_text(text)
        os.utime(path, (number, number))
        await file.refresh()
        if number == 1:
            note = await file.note()
            assert note is not None
            assert note.startswith("rotation primary: on-call.ics is no iCalendar that can be understood")
            assert (who(file), broken()) == ("ana", 1)
    assert (who(file), await file.note(), broken()) == ("ben", None, 0)
    path.unlink()
    await file.refresh()
    assert (who(file), broken()) == ("ben", 1)
    assert await file.note() == "rotation primary: on-call.ics cannot be read: there is no such file"


async def test_a_feed_is_fetched_and_the_last_good_copy_stays(feed: Feed, tmp_path: Path) -> None:
    with capture_logs() as logs:
        file = directory(tmp_path, f"url: '{feed.url}'")
        assert (file.current(), await file.note()) == (None, "rotation primary: its calendar was not fetched yet")
        await file.refresh()
        assert (who(file), await file.note(), broken()) == ("ana", None, 0)
        await file.refresh()
        assert len(feed.asked) == 1, "not before its time"
        notes = []
        for answer in [
            (500, b"", {}),
            (200, b"<html>Sign in</html>", {}),
            (200, b"BEGIN:VCALENDAR\n" + b"X" * 5_000_001, {}),
            (200, b"\xff\xfe", {}),
            (302, b"", {"Location": "https://127.0.0.1/elsewhere.ics"}),
            (302, b"", {"Location": feed.url.replace("https", "http")}),
            (302, b"", {"Location": feed.url}),
        ]:
            feed.answer = answer
            await file.refresh(at_once=True)
            notes.append(await file.note())
            assert (who(file), broken()) == ("ana", 1)
        feed.answer = (200, calendar("ben").encode(), {})
        await file.refresh(at_once=True)
        assert (who(file), await file.note(), broken()) == ("ben", None, 0)
    told = [str(note).removeprefix("rotation primary: the feed of localhost ")[:35] for note in notes]
    assert told == [
        "answers 500",
        "is no iCalendar that can be underst",
        "is larger than 5000000 bytes",
        "'utf-8' codec can't decode byte 0xf",
        "redirects to another host; name tha",
        "redirects to another host; name tha",
        "redirects in a circle",
    ]
    assert TOKEN not in repr(logs) + repr(notes)
    assert {"calendar_loaded", "calendar_broken"} <= {entry["event"] for entry in logs}


async def test_a_directory_that_names_a_new_feed_counts_once_that_was_tried(feed: Feed, tmp_path: Path) -> None:
    (tmp_path / "on-call.ics").write_text(calendar("ben"))
    file = directory(tmp_path, "file: on-call.ics")
    (tmp_path / "directory.yaml").write_text(DIRECTORY.format(source=f"url: '{feed.url}'"))
    assert who(file) == "ben", "the calendar before it is in force until the feed was asked"
    feed.answer = (503, b"", {})
    await file.refresh()
    assert (who(file), broken()) == (None, 1), "nobody is on call, for all that can be known"
    feed.answer = (200, calendar("ana").encode(), {})
    await file.refresh(at_once=True)
    assert (who(file), broken()) == ("ana", 0)


@pytest.mark.parametrize("kind", ["file", "feed"])
async def test_a_broken_calendar_named_in_another_way_keeps_its_last_good_copy(
    kind: str, feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ON_CALL_FEED", feed.url)
    path = tmp_path / "on-call.ics"
    path.write_text(calendar("ana"))
    source = "file: on-call.ics" if kind == "file" else f"url: '{feed.url}'"
    file = directory(tmp_path, source)
    await file.refresh()
    path.write_text("no calendar")
    feed.answer = (503, b"", {})
    other = DIRECTORY.format(source=source if kind == "file" else "url_env: ON_CALL_FEED")
    for text in (other, other.replace("UTC", "Asia/Tokyo")):
        (tmp_path / "directory.yaml").write_text(text)
        await file.refresh()
        assert (who(file), broken()) == ("ana", 1)
    known = file.current()
    assert known is not None
    holder = known.holder(ROLE, None, AT)
    assert holder is not None
    assert holder.rule == "rotation primary, event of 2026-06-01 09:00 JST"


async def test_a_feed_is_expanded_as_it_is_read_and_again_only_when_it_or_the_year_is_another(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded: list[tuple[int, bool]] = []
    expand = ICalendar._of_year

    def watched(self: ICalendar, year: int) -> tuple[CalendarEvent, ...]:
        expanded.append((year, threading.current_thread() is threading.main_thread()))
        return expand(self, year)

    monkeypatch.setattr(ICalendar, "_of_year", watched)
    now = AT
    path = tmp_path / "directory.yaml"
    path.write_text(DIRECTORY.format(source=f"url: '{feed.url}'"))
    file = DirectoryFile(path, lambda: now)
    for year, fresh in [(2026, [1900, 2026, 2027]), (2026, []), (2027, [2028])]:
        expanded.clear()
        now = AT.replace(year=year)
        await file.refresh(at_once=True)
        assert who(file) == "ana"
        assert expanded == [(found, False) for found in fresh]
    before = file.current()
    await file.refresh(at_once=True)
    assert file.current() is before, "nor is it put together again"


@pytest.mark.parametrize("kind", ["file", "feed"])
async def test_a_calendar_of_too_many_events_leaves_the_last_good_one(kind: str, feed: Feed, tmp_path: Path) -> None:
    path = tmp_path / "on-call.ics"
    path.write_text(calendar("ana"))
    file = directory(tmp_path, "file: on-call.ics" if kind == "file" else f"url: '{feed.url}'")
    await file.refresh()
    often = f"RRULE:FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))}\nSUMMARY:ben"
    text = calendar("ben").replace("20270601", "20260602").replace("SUMMARY:ben", often)
    events = text.partition("BEGIN:VEVENT")[1] + text.partition("BEGIN:VEVENT")[2].partition("END:VCAL")[0]
    text = text.replace("END:VCALENDAR", events.replace("UID:1", "UID:2") + "END:VCALENDAR")
    path.write_text(text)
    feed.answer = (200, text.encode(), {})
    await file.refresh(at_once=True)
    note = await file.note()
    assert note is not None
    year = datetime.now(UTC).year
    assert f"has more than 10000 events in {year}; remove some" in note or f"in {year + 1}; remove some" in note
    assert (who(file), broken()) == ("ana", 1)


async def test_a_feed_that_takes_too_long_holds_up_no_directory(feed: Feed, tmp_path: Path) -> None:
    async def asked() -> bool:
        return bool(feed.asked)

    feed.answers.clear()
    file = directory(tmp_path, f"url: '{feed.url}'")
    assert file.current() is None
    refreshing = asyncio.create_task(file.refresh())
    # Not cut off before: asyncio leaves a connection open that is cancelled in its handshake.
    await eventually(asked, "the feed is asked")
    refreshing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refreshing
    feed.answers.set()
    assert (who(file), broken()) == (None, 1)
    assert await file.note() == "rotation primary: its feed takes too long to be read"


async def test_a_redirect_on_the_same_host_is_followed(feed: Feed, tmp_path: Path) -> None:
    file = directory(tmp_path, f"url: '{feed.url.replace(TOKEN, 'moved')}'")
    await file.refresh()
    assert who(file) == "ana"
    assert feed.asked == ["/moved.ics", "/new.ics"]


async def test_a_server_that_is_away_or_not_trusted(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory(tmp_path, f"url: '{feed.url}'")
    monkeypatch.delenv("SSL_CERT_FILE")
    await file.refresh()
    note = str(await file.note())
    assert note.startswith(
        "rotation primary: the feed of localhost cannot be fetched: its certificate is not trusted ("
    )
    assert note.endswith("; SSL_CERT_FILE names the authorities that are")
    assert feed.asked == []


async def test_the_address_may_come_from_the_environment_or_from_a_file(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory(tmp_path, "url_env: ON_CALL_FEED")
    await file.refresh()
    assert await file.note() == "rotation primary: the variable ON_CALL_FEED is not set"
    monkeypatch.setenv("ON_CALL_FEED", feed.url.replace("https", "http"))
    await file.refresh(at_once=True)
    assert await file.note() == "rotation primary: the variable ON_CALL_FEED holds no https address"
    monkeypatch.setenv("ON_CALL_FEED", feed.url)
    await file.refresh(at_once=True)
    assert (who(file), await file.note()) == ("ana", None)

    file = directory(tmp_path, "url_file: feed-address")
    await file.refresh()
    assert await file.note() == "rotation primary: the file feed-address cannot be read: there is no such file"
    (tmp_path / "feed-address").write_text(feed.url + "\n")
    await file.refresh(at_once=True)
    assert (who(file), await file.note()) == ("ana", None)
