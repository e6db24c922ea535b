"""The live updates of the board: what a page gets, once and in time, also after it was disconnected."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from board.domain.board_filter import BoardFilter
from board.domain.board_page import count_tickets
from board.domain.board_ticket import BoardTicket, TicketPhase
from board.domain.live_position import LivePosition
from board.domain.viewer import Viewer
from board.errors import TooManyWatchersError
from board.workers import live_updates
from board.workers.live_updates import MOST_OF_ONE, LiveUpdates, Watcher
from board.workers.open_tickets import MOST_MISSED, OpenTickets
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.board_pages import BoardPages, board_pages
from support.board_tickets import HOUR, MINUTE, NOW, MemoryTickets, board_clock, board_ladder, board_ticket, made_board
from support.metrics import counter_value
from support.search_budget import tries
from tocsin.runtime.process.clock import BusinessClock

ALL = BoardFilter("default")
ADA = Viewer("default", "ada")


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[BoardPages]:
    async with board_pages(tmp_path) as made:
        yield made


@dataclass
class Received:
    """What a page has got, by the events that it applied."""

    rows: dict[str, str] = field(default_factory=dict)
    """The group of each row by the ticket's id."""
    names: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    heartbeat: dict[str, Any] = field(default_factory=dict)
    position: str = ""

    def apply(self, frames: Iterable[bytes]) -> "Received":
        for event in b"".join(frames).decode().strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in event.split("\n"))
            name, data = lines["event"], json.loads(lines["data"])
            self.names.append(name)
            self.position = lines.get("id", self.position)
            if name == "ticket":
                assert f'id="t-{data["id"]}" data-group="{data["group"]}"' in data["html"]
                self.rows[data["id"]] = data["group"]
            elif name == "gone":
                self.rows.pop(data["id"], None)
            elif name == "counts":
                self.counts = data
            elif name == "heartbeat":
                self.heartbeat = data
        return self


async def position_of_page(board: BoardPages, query: str = "") -> str:
    text = (await board.client.get(f"/{query}")).text
    found = re.search(r"after=(\d+\.\d+)", text)
    assert found is not None
    return found[1]


async def watch(board: BoardPages, after: str, wanted: BoardFilter = ALL) -> Watcher:
    return await board.updates.watch(ADA, wanted, LivePosition.parse(after))


async def test_a_change_arrives_once_with_the_counts(board: BoardPages) -> None:
    ticket = board.source.put(board_ticket("SR-1"))
    watcher = await watch(board, await position_of_page(board))
    page = Received().apply(board.updates.take(watcher))
    assert page.names == ["heartbeat"]
    board.source.put(replace(ticket, clocks=(board_clock(left=-MINUTE),)))
    await board.updates.update()
    assert watcher.woken.is_set()
    page.apply(board.updates.take(watcher))
    assert page.names[1:] == ["ticket", "counts", "heartbeat"]
    assert page.rows == {str(ticket.ticket_id): "breached"}
    assert (page.counts["open"], page.counts["breached"], page.counts["later"]) == (1, 1, 0)
    await board.updates.update()
    assert not watcher.woken.is_set()


async def test_a_change_that_a_page_has_read_still_reaches_the_others(board: BoardPages) -> None:
    watcher = await watch(board, await position_of_page(board))
    board.updates.take(watcher)
    board.source.put(board_ticket("SR-1"))
    await board.tickets.refresh()
    await board.updates.update()
    assert Received().apply(board.updates.take(watcher)).names == ["ticket", "counts", "heartbeat"]


async def test_reading_the_changes_ends_although_they_never_do() -> None:
    class Busy(MemoryTickets):
        async def changed(self, after: int) -> Sequence[BoardTicket]:
            found = await super().changed(after)
            self.put(board_ticket("SR-1"))
            return found

    source = Busy()
    tickets = OpenTickets(source)
    await tickets.load("default")
    for _ in range(10):
        source.put(board_ticket("SR-1"))
    await tickets.refresh()
    assert tickets.version >= 10


async def test_a_closed_ticket_is_gone_and_so_is_one_that_the_filter_no_longer_selects(board: BoardPages) -> None:
    first, second = (board.source.put(board_ticket(name, severity=1)) for name in ("SR-1", "SR-2"))
    watcher = await watch(board, "0.0", BoardFilter("default", severity=1))
    page = Received().apply(board.updates.take(watcher))
    assert len(page.rows) == 2
    board.source.put(replace(first, state=TicketPhase.RESOLVED))
    board.source.put(replace(second, severity=2))
    await board.updates.update()
    page.apply(board.updates.take(watcher))
    assert page.rows == {}
    assert page.counts["open"] == 0


async def test_time_alone_moves_a_row(board: BoardPages) -> None:
    ticket = board.source.put(board_ticket("SR-1", clocks=[board_clock(left=5 * HOUR)]))
    watcher = await watch(board, await position_of_page(board))
    page = Received().apply(board.updates.take(watcher))
    for at, group in ((NOW + HOUR, "at_risk"), (NOW + 5 * HOUR + MINUTE, "breached")):
        board.set_clock(at - MINUTE)
        await board.updates.update()
        assert Received().apply(board.updates.take(watcher)).names == ["heartbeat"]
        board.set_clock(at)
        await board.updates.update()
        page.apply(board.updates.take(watcher))
        assert page.rows == {str(ticket.ticket_id): group}
        assert page.counts[group] == 1


async def test_a_page_that_was_away_gets_what_it_has_missed(board: BoardPages) -> None:
    """Also what time alone has changed, and also from another process, which has not seen the changes."""
    first, second, third = (
        board.source.put(board_ticket(f"SR-{n}", clocks=[board_clock(left=n * 5 * HOUR)])) for n in (1, 2, 3)
    )
    position = await position_of_page(board)
    board.set_clock(NOW + 2 * HOUR)
    board.source.put(replace(second, state=TicketPhase.RESOLVED))
    fourth = board.source.put(board_ticket("SR-4"))
    for updates in (board.updates, other_process(board)):
        watcher = await updates.watch(ADA, ALL, LivePosition.parse(position))
        await updates.update()
        page = Received().apply(updates.take(watcher))
        assert sorted(page.names) == ["counts", "gone", "heartbeat", "ticket", "ticket"]
        assert page.rows == {str(first.ticket_id): "at_risk", str(fourth.ticket_id): "at_risk"}
        assert str(third.ticket_id) not in page.rows


async def test_after_a_rebuild_every_page_loads_again_and_tickets_that_are_no_more_are_gone(board: BoardPages) -> None:
    """Also a page that was away meanwhile, and one that another process serves."""
    board.source.put(board_ticket("SR-1"))
    kept = board.source.put(board_ticket("SR-2"))
    position = await position_of_page(board)
    others = other_process(board)
    watching = [(each, await each.watch(ADA, ALL, LivePosition.parse(position))) for each in (board.updates, others)]
    for updates, watcher in watching:
        await updates.update()
        assert "reload" not in Received().apply(updates.take(watcher)).names
    board.source.empty()
    board.source.put(kept)
    for updates, watcher in watching:
        await updates.update()
        assert Received().apply(updates.take(watcher)).names == ["reload"]
        late = await updates.watch(ADA, ALL, LivePosition.parse(position))
        assert Received().apply(updates.take(late)).names == ["reload"]
    assert (await board.tickets.load("default")).keys() == {kept.ticket_id}
    again = await watch(board, await position_of_page(board))
    await board.updates.update()
    assert Received().apply(board.updates.take(again)).names == ["heartbeat"]


def updates_of(tickets: OpenTickets, clock: BusinessClock, render: live_updates.Render) -> LiveUpdates:
    return LiveUpdates(tickets, clock, render, lambda _: None, lambda: None)


def other_process(board: BoardPages) -> LiveUpdates:
    clock = BusinessClock(NOW + 2 * HOUR, NOW, 0)
    return updates_of(OpenTickets(board.source), clock, lambda found, at: _row(str(found.ticket_id), at))


def _row(ticket_id: str, at: object) -> str:
    return f'<li id="t-{ticket_id}" data-group="at_risk">'


async def test_a_page_that_was_away_for_too_long_loads_again(board: BoardPages) -> None:
    position = await position_of_page(board)
    board.source.last += MOST_MISSED + 1
    board.source.put(board_ticket("SR-1"))
    updates = other_process(board)
    watcher = await updates.watch(ADA, ALL, LivePosition.parse(position))
    assert Received().apply(updates.take(watcher)).names == ["reload"]


changes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(-3, 9)),
        st.tuples(st.just("close"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 3)),
        st.tuples(st.just("update"), st.just(0), st.just(0)),
        st.tuples(st.just("load a page"), st.just(0), st.just(0)),
        st.tuples(st.just("lose"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=tries(60))
@example([("update", 0, 0), ("put", 0, 9), ("load a page", 0, 0), ("restart", 0, 0)], ALL)
@given(changes, st.sampled_from([ALL, BoardFilter("default", severity=1)]))
async def test_after_any_changes_and_disconnections_the_page_has_what_a_new_page_would_have(
    steps: list[tuple[str, int, int]], wanted: BoardFilter
) -> None:
    source, now = MemoryTickets(), [NOW]
    clock = MovedClock(NOW, NOW, 0, now)

    def start() -> tuple[OpenTickets, LiveUpdates]:
        tickets = OpenTickets(source)
        return tickets, updates_of(tickets, clock, _group_row)

    (tickets, updates), page, position, watcher = start(), Received(), "0.0", None
    for step, number, hours in [*steps, ("update", 0, 0)]:
        if watcher is None:
            watcher = await updates.watch(ADA, wanted, LivePosition.parse(position))
        if step == "put":
            clocks = [board_clock(left=hours * HOUR + MINUTE, now=now[0])]
            source.put(board_ticket(f"SR-{number}", severity=1 + (number + hours) % 2, clocks=clocks))
        elif step == "close" and (found := source.find(f"SR-{number}")) is not None:
            source.put(replace(found, state=TicketPhase.RESOLVED))
        elif step == "wait":
            now[0] += hours * HOUR
        elif step == "load a page":
            await tickets.refresh()
            position = page.apply(updates.take(watcher)).position
        elif step == "update":
            await updates.update()
            position = page.apply(updates.take(watcher)).position
        elif step in ("lose", "restart"):
            updates.leave(watcher)
            watcher = None
            tickets, updates = start() if step == "restart" else (tickets, updates)
    selected = [found for found in source.tickets.values() if found.is_open and wanted.matches(found)]
    assert page.rows == {str(found.ticket_id): found.group(now[0]).value for found in selected}
    if page.counts:
        counts = count_tickets((found, found.group(now[0])) for found in selected)
        assert page.counts == counts.as_dict()


def _group_row(found: BoardTicket, at: datetime) -> str:
    return f'<li id="t-{found.ticket_id}" data-group="{found.group(at)}">'


@dataclass(frozen=True)
class MovedClock(BusinessClock):
    """A clock that shows the only element of a list."""

    shown: list[datetime] = field(default_factory=list)

    def now(self) -> datetime:
        return self.shown[0]


async def test_after_a_change_of_the_directory_rows_name_the_new_people(board: BoardPages) -> None:
    ticket = board.source.put(board_ticket("SR-1", ladder=board_ladder(tier=1)))
    board.source.put(board_ticket("SR-2"))
    assert "<b>Tomás Herrera</b>" in (await board.client.get("/")).text
    watcher = await watch(board, await position_of_page(board))
    board.updates.take(watcher)
    text = board.directory_file.read_text()
    board.directory_file.write_text(text.replace("Tomás Herrera", "Noor Haddad the Second"))
    await board.updates.update()
    frames = board.updates.take(watcher)
    assert list(Received().apply(frames).rows) == [str(ticket.ticket_id)]
    assert "<b>Noor Haddad the Second</b>" in frames[0].decode()


async def test_each_tenant_gets_its_own_changes(board: BoardPages) -> None:
    watchers = [await watch(board, "0.0", BoardFilter(tenant)) for tenant in ("default", "other")]
    for watcher in watchers:
        board.updates.take(watcher)
    board.source.put(board_ticket("XX-1", tenant="other"))
    await board.updates.update()
    assert [watcher.woken.is_set() for watcher in watchers] == [False, True]
    assert Received().apply(board.updates.take(watchers[0])).names == ["heartbeat"]
    assert Received().apply(board.updates.take(watchers[1])).names == ["ticket", "counts", "heartbeat"]


async def test_the_heartbeat_carries_business_time_and_staleness(board: BoardPages) -> None:
    board.stale.problem = "No new events are read since Mon 15:05."
    watcher = await watch(board, "0.0")
    page = Received().apply(board.updates.take(watcher))
    assert page.heartbeat == {"now": NOW.timestamp(), "rate": 0.0, "stale": board.stale.problem}
    assert page.position == f"0.{int(NOW.timestamp())}"


async def test_watchers_are_limited_and_counted(board: BoardPages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_updates, "MOST_WATCHERS", 2)
    watchers = [await watch(board, "0.0") for _ in range(2)]
    assert counter_value("sla_board_watchers") == 2
    with pytest.raises(TooManyWatchersError):
        await watch(board, "0.0")
    full = await board.client.get("/live?after=0.0", headers={"Accept": "application/json"})
    assert (full.status_code, full.headers["retry-after"]) == (503, "10")
    board.updates.leave(watchers[0])
    assert counter_value("sla_board_watchers") == 1
    board.updates.leave(await watch(board, "0.0"))


async def test_one_key_cannot_take_the_places_of_all(board: BoardPages) -> None:
    position = LivePosition(0, NOW)
    for _ in range(MOST_OF_ONE):
        await board.updates.watch(ADA, ALL, position)
    with pytest.raises(TooManyWatchersError):
        await board.updates.watch(ADA, ALL, position)
    await board.updates.watch(Viewer("other", "ada"), ALL, position)


@pytest.mark.parametrize("after", ["", "x", "1", "1.", ".1", "1.x", "-1.1", "1.1.1", "1.99999999999999999", "²." + "1"])
async def test_a_wrong_position_is_named(board: BoardPages, after: str) -> None:
    response = await board.client.get("/live", params={"after": after}, headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "after")


async def test_live_needs_access_and_known_parameters(board: BoardPages) -> None:
    async with board.browser() as browser:
        assert (await browser.get("/live?after=0.0", headers={"Accept": "application/json"})).status_code == 401
    wrong = await board.client.get("/live?after=0.0&custmer=x", headers={"Accept": "application/json"})
    assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY


async def test_a_changed_row_is_rendered_once_for_all_who_watch(board: BoardPages) -> None:
    """200 pages cost little more than one: what grows with them is the copying of the same bytes."""
    tickets = [board.source.put(ticket) for ticket in made_board(500)]
    filters = [ALL, BoardFilter("default", severity=1)]
    position = LivePosition(500, NOW)
    viewers = [Viewer("default", f"key {number}") for number in range(200)]
    watchers = [
        await board.updates.watch(viewer, filters[number % 2], position) for number, viewer in enumerate(viewers)
    ]
    for watcher in watchers:
        board.updates.take(watcher)
    board.source.put(replace(tickets[0], severity=1, assignee="Noor Haddad"))
    before = counter_value("sla_board_live_update_seconds_count")
    await board.updates.update()
    assert counter_value("sla_board_live_update_seconds_count") == before + 1
    costs, frames = [], []
    for watcher in watchers:
        begin = time.process_time()
        frames.append(board.updates.take(watcher))
        costs.append(time.process_time() - begin)
    assert len({id(taken[0]) for taken in frames}) == 1
    assert len({id(taken[1]) for taken in frames}) == len(filters)
    assert sum(costs[2:]) / 198 < max(costs[:2])
