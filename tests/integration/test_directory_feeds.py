"""iCalendars of rotations from files and from a real https server: reloads, failures, redirects; no token in logs."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from support.calendar_feed import LOOPBACK, TOKEN, FeedServer, one_event, read_in_process, serve_feed
from support.polling import eventually
from tocsin.sources import calendar_feeds
from tocsin.sources.calendar_reader import SlowCalendarError
from tocsin.sources.directory_file import DirectoryFile

AT = datetime(2026, 6, 8, 12, tzinfo=UTC)
ROLE = "service_desk_team_lead"
DIRECTORY = """\
people:
  ana: {{ name: Ana Silva, email: ana@example.com }}
  ben: {{ name: Ben Okafor, email: ben@example.com }}
rotations:
  primary: {{ zone: UTC, calendar: {{ {location} }} }}
roles:
  service_desk_team_lead: [{{ rotation: primary }}]
"""


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_feeds, "read_calendar", read_in_process)


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedServer]:
    with serve_feed(tmp_path) as feed:
        monkeypatch.setenv("SSL_CERT_FILE", str(feed.ca))
        yield feed


def directory_file(folder: Path, location: str) -> DirectoryFile:
    path = folder / "directory.yaml"
    path.write_text(DIRECTORY.format(location=location))
    return DirectoryFile(path, networks=LOOPBACK)


def person(file: DirectoryFile) -> str | None:
    directory = file.current()
    assert directory is not None
    found = directory.holder(ROLE, None, AT)
    return found.person if found else None


def broken() -> float | None:
    return REGISTRY.get_sample_value("sla_directory_calendars_broken")


async def test_a_changed_file_is_read_again_and_an_invalid_one_leaves_the_last_valid_one_active(tmp_path: Path) -> None:
    path = tmp_path / "on-call.ics"
    path.write_text(one_event("ana"))
    file = directory_file(tmp_path, "file: on-call.ics")
    assert (file.current(), await file.note()) == (None, "rotation primary: its calendar has not been read yet")
    await file.refresh()
    assert (person(file), await file.note(), broken()) == ("ana", None, 0)
    for number, text in enumerate(["no calendar", one_event("ben")], 1):
        path.write_text(text)
        os.utime(path, (number, number))
        await file.refresh()
        if number == 1:
            note = await file.note()
            assert note is not None
            assert note.startswith(
                "rotation primary: on-call.ics has no line BEGIN:VCALENDAR, so it is not an iCalendar"
            )
            assert (person(file), broken()) == ("ana", 1)
    assert (person(file), await file.note(), broken()) == ("ben", None, 0)
    path.unlink()
    await file.refresh()
    assert (person(file), broken()) == ("ben", 1)
    assert await file.note() == "rotation primary: on-call.ics cannot be read: there is no such file"


async def test_a_feed_is_fetched_and_after_a_failure_its_last_valid_copy_stays_active(
    feed: FeedServer, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        file = directory_file(tmp_path, f"url: '{feed.url}'")
        assert (file.current(), await file.note()) == (None, "rotation primary: its calendar has not been read yet")
        await file.refresh()
        assert (person(file), await file.note(), broken()) == ("ana", None, 0)
        await file.refresh()
        assert len(feed.paths) == 1, "the feed was fetched before its time"
        notes = []
        for response in [
            (500, b"", {}),
            (200, b"<html>Sign in</html>", {}),
            (200, b"BEGIN:VCALENDAR\n" + b"X" * 5_000_001, {}),
            (302, b"", {"Location": "https://127.0.0.1/elsewhere.ics"}),
            (302, b"", {"Location": feed.url.replace("https", "http")}),
            (302, b"", {"Location": feed.url}),
        ]:
            feed.response = response
            await file.refresh(at_once=True)
            notes.append(await file.note())
            assert (person(file), broken()) == ("ana", 1)
        feed.response = (200, one_event("ben").encode(), {})
        await file.refresh(at_once=True)
        assert (person(file), await file.note(), broken()) == ("ben", None, 0)
    reasons = [str(note).removeprefix("rotation primary: the feed of localhost ")[:35] for note in notes]
    assert reasons == [
        "responds with 500",
        "has no line BEGIN:VCALENDAR, so it ",
        "is larger than 5,000,000 bytes; rem",
        "redirects to another host; configur",
        "redirects to another host; configur",
        "redirects too often",
    ]
    assert TOKEN not in repr(logs) + repr(notes)
    assert {"calendar_loaded", "calendar_broken"} <= {entry["event"] for entry in logs}


def feed_age() -> float | None:
    return REGISTRY.get_sample_value("sla_directory_feed_age_seconds", {"rotation": "primary"})


async def test_the_age_of_a_feed_grows_while_it_fails(feed: FeedServer, tmp_path: Path) -> None:
    file = directory_file(tmp_path, f"url: '{feed.url}'")
    await file.refresh()
    first = feed_age()
    assert first is not None
    feed.response = (500, b"", {})
    await file.refresh(at_once=True)
    failing = feed_age()
    assert failing is not None
    assert failing > first
    feed.response = (200, one_event("ana").encode(), {})
    await file.refresh(at_once=True)
    again = feed_age()
    assert again is not None
    assert again < failing, "a successful read ends the age"
    directory_file(tmp_path, "file: on-call.ics")
    await file.refresh()
    assert feed_age() is None, "a file has no age"


async def test_a_directory_with_a_new_feed_becomes_active_after_the_first_fetch(
    feed: FeedServer, tmp_path: Path
) -> None:
    (tmp_path / "on-call.ics").write_text(one_event("ben"))
    file = directory_file(tmp_path, "file: on-call.ics")
    await file.refresh()
    (tmp_path / "directory.yaml").write_text(DIRECTORY.format(location=f"url: '{feed.url}'"))
    assert person(file) == "ben", "the previous calendar stays active until the feed was fetched"
    feed.response = (503, b"", {})
    await file.refresh()
    assert (person(file), broken()) == (None, 1), "the role is vacant as far as is known"
    feed.response = (200, one_event("ana").encode(), {})
    await file.refresh(at_once=True)
    assert (person(file), broken()) == ("ana", 0)


@pytest.mark.parametrize("kind", ["file", "feed"])
async def test_an_invalid_calendar_with_a_new_location_keeps_its_last_valid_copy(
    kind: str, feed: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ON_CALL_FEED", feed.url)
    path = tmp_path / "on-call.ics"
    path.write_text(one_event("ana"))
    source = "file: on-call.ics" if kind == "file" else f"url: '{feed.url}'"
    file = directory_file(tmp_path, source)
    await file.refresh()
    path.write_text("no calendar")
    feed.response = (503, b"", {})
    other = DIRECTORY.format(location=source if kind == "file" else "url_env: ON_CALL_FEED")
    for text in (other, other.replace("UTC", "Asia/Tokyo")):
        (tmp_path / "directory.yaml").write_text(text)
        await file.refresh()
        assert (person(file), broken()) == ("ana", 1)
    directory = file.current()
    assert directory is not None
    holder = directory.holder(ROLE, None, AT)
    assert holder is not None
    assert holder.rule == "rotation primary, event of 2026-06-01 09:00 JST"


async def test_a_feed_is_read_again_only_if_its_text_or_the_year_changes(
    feed: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = AsyncMock(side_effect=read_in_process)
    monkeypatch.setattr(calendar_feeds, "read_calendar", read)
    now = AT
    path = tmp_path / "directory.yaml"
    path.write_text(DIRECTORY.format(location=f"url: '{feed.url}'"))
    file = DirectoryFile(path, lambda: now, LOOPBACK)
    january, later = AT.replace(year=2027, month=1), AT.replace(year=2027)
    for at, years in [(AT, (2026, 2027)), (AT, None), (january, (2026, 2027, 2028)), (later, None)]:
        now = at
        read.reset_mock()
        await file.refresh(at_once=True)
        assert person(file) == "ana"
        assert [call.args[2] for call in read.await_args_list] == ([years] if years else [])
    before = file.current()
    await file.refresh(at_once=True)
    assert file.current() is before, "an unchanged directory is not built again"


async def test_a_calendar_that_is_read_too_slowly_is_named_and_left_until_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = AsyncMock(side_effect=SlowCalendarError("takes longer than 10 seconds to read"))
    monkeypatch.setattr(calendar_feeds, "read_calendar", slow)
    (tmp_path / "on-call.ics").write_text(one_event("ana"))
    file = directory_file(tmp_path, "file: on-call.ics")
    for _ in range(3):
        await file.refresh()
    assert await file.note() == "rotation primary: on-call.ics takes longer than 10 seconds to read"
    assert (file.current() is not None, slow.await_count) == (True, 1), "the directory goes on without it"
    monkeypatch.setattr(calendar_feeds, "read_calendar", read_in_process)
    await file.refresh(at_once=True)
    assert (person(file), await file.note()) == ("ana", None)


async def test_a_slow_feed_does_not_delay_the_directory(feed: FeedServer, tmp_path: Path) -> None:
    async def requested() -> bool:
        return bool(feed.paths)

    feed.released.clear()
    file = directory_file(tmp_path, f"url: '{feed.url}'")
    assert file.current() is None
    refreshing = asyncio.create_task(file.refresh())
    # Cancelled only now: asyncio leaks a connection that is cancelled during its handshake.
    await eventually(requested, "the feed is requested")
    refreshing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await refreshing
    feed.released.set()
    assert (person(file), broken()) == (None, 1)
    assert await file.note() == "rotation primary: its calendar takes too long to read"


async def test_a_redirect_on_the_same_host_is_followed(feed: FeedServer, tmp_path: Path) -> None:
    file = directory_file(tmp_path, f"url: '{feed.url.replace(TOKEN, 'moved')}'")
    await file.refresh()
    assert person(file) == "ana"
    assert feed.paths == ["/moved.ics", "/new.ics"]


async def test_an_untrusted_certificate_is_reported(
    feed: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory_file(tmp_path, f"url: '{feed.url}'")
    monkeypatch.delenv("SSL_CERT_FILE")
    await file.refresh()
    note = str(await file.note())
    assert note.startswith("rotation primary: the feed of localhost has a certificate that is not trusted (")
    assert note.endswith("; SSL_CERT_FILE names the trusted authorities")
    assert feed.paths == []


async def test_the_address_may_be_in_the_environment_or_in_a_file(
    feed: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory_file(tmp_path, "url_env: ON_CALL_FEED")
    await file.refresh()
    assert await file.note() == "rotation primary: the variable ON_CALL_FEED is not set"
    monkeypatch.setenv("ON_CALL_FEED", feed.url.replace("https", "http"))
    await file.refresh(at_once=True)
    assert await file.note() == "rotation primary: the variable ON_CALL_FEED does not contain an https URL"
    monkeypatch.setenv("ON_CALL_FEED", "https://localhost/desk\x01.ics")
    await file.refresh(at_once=True)
    assert await file.note() == ("rotation primary: the feed of localhost has an address that is not a URL; correct it")
    monkeypatch.setenv("ON_CALL_FEED", feed.url)
    await file.refresh(at_once=True)
    assert (person(file), await file.note()) == ("ana", None)

    file = directory_file(tmp_path, "url_file: feed-address")
    await file.refresh()
    assert await file.note() == "rotation primary: the file feed-address cannot be read: there is no such file"
    (tmp_path / "feed-address").write_text(feed.url + "\n")
    await file.refresh(at_once=True)
    assert (person(file), await file.note()) == ("ana", None)
