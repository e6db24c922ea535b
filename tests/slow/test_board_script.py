"""board.js in a real browser, without a server: its times left are those of the server, and changes disturb nobody."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from board.api.board_query import BoardQuery
from board.api.board_rows import BoardRows
from board.api.html import render, static_files
from board.api.pages import Board
from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import BoardClock, BoardTicket, ClockState, Stretch, TicketPhase
from board.domain.live_position import LivePosition
from board.domain.ticket_row import ticket_row
from board.domain.time_words import PageTime
from board.domain.viewer import Viewer
from board.workers.live_updates import LiveUpdates
from board.workers.open_tickets import OpenTickets
from playwright.async_api import Page, Route, expect
from support.board_pages import ZONE
from support.board_tickets import HOUR, MINUTE, NOW, MemoryTickets, board_clock, board_ticket
from support.browser import MISSING, chromium, find_chromium
from support.polling import eventually
from tocsin.runtime.process.clock import BusinessClock

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(find_chromium() is None, reason=MISSING),
]
URL = "http://board.example"
SHIFT = """
    const now = performance.now.bind(performance);
    window.shift = 0;
    performance.now = () => now() + window.shift;
"""
"""The script reads business time from this clock: with a shift it is later."""
TEXTS = """() => Object.fromEntries([...document.querySelectorAll("li.ticket")].map((row) => [
    row.id.slice(2), [row.querySelector(".left").textContent, row.querySelector(".used").getAttribute("width")],
]))"""


class Served:
    """The page of these tickets at `NOW`, and what `/live` has to say: the browser gets it without a server."""

    def __init__(self, tickets: Sequence[BoardTicket]) -> None:
        self.source = MemoryTickets()
        for ticket in tickets:
            self.source.put(ticket)
        self.clock = BusinessClock(NOW, NOW, 0)
        self.tickets = OpenTickets(self.source)
        self.rows = BoardRows(ZONE, lambda: None)
        self.updates = LiveUpdates(self.tickets, self.clock, self.rows.render, lambda _: None, lambda: None)
        self.html = ""
        self.events: bytes | None = None
        """What the next connection to `/live` gets. Without it the connection fails, and the browser tries again."""

    async def prepare(self) -> None:
        """Render the page as it is now."""
        board = Board(tickets=self.tickets, rows=self.rows, clock=self.clock, zone=ZONE, problem=lambda _: None)
        page = await board.page("default", BoardQuery("", "", "", "", ""), is_wall=False)
        page = replace(page, rate=1.0)  # business time passes in the browser only
        self.html = render("board.html.j2", viewer=Viewer("default", "ada"), section="board", page=page)

    async def respond(self, route: Route) -> None:
        path = route.request.url.removeprefix(URL)
        files = {file.address: file for file in static_files().values()}
        if path in files:
            await route.fulfill(body=files[path].content, content_type=files[path].media_type)
        elif path == "/":
            await route.fulfill(body=self.html, content_type="text/html; charset=utf-8")
        elif path.startswith("/live") and self.events is not None:
            events, self.events = self.events, None
            await route.fulfill(body=events, content_type="text/event-stream")
        else:
            await route.abort()


@asynccontextmanager
async def opened(served: Served) -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1440, "height": 6000})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.add_init_script(SHIFT)
        await page.route("**/*", served.respond)
        await page.goto(f"{URL}/")
        yield page
        assert errors == []


def random_ticket(number: int, chance: random.Random) -> BoardTicket:
    """A ticket with one clock, which counts in up to four stretches, or is paused."""
    at, remaining = NOW, []
    for _ in range(chance.randint(1, 4)):
        begin = at + chance.randint(0, 900) * MINUTE
        at = begin + timedelta(seconds=chance.randint(1, 150_000))
        remaining.append(Stretch(begin, at))
    left = sum((stretch.end - stretch.begin for stretch in remaining), timedelta(0))
    target = left + timedelta(seconds=chance.choice((-3_600, 0, 1, 5_000, 90_000)))
    clock = board_clock(left=left, target=max(target, MINUTE), remaining=tuple(remaining), due_at=at)
    if chance.random() < 0.1:
        clock = board_clock(left=left, target=left + HOUR, state=ClockState.PAUSED)
    if chance.random() < 0.1:
        clock = board_clock(left=-timedelta(seconds=chance.randint(1, 500_000)))
    return board_ticket(f"SR-{number}", clocks=[clock])


def texts_about(ticket: BoardTicket, at: datetime) -> set[tuple[str, str]]:
    """The text and the bar's width within half a minute of the instant."""
    found = set()
    for late in range(-10, 31):
        (bar,) = ticket_row(ticket, PageTime(ZONE, at + timedelta(seconds=late)), lambda *_: None).clocks
        found.add((bar.text, str(bar.used)))
    return found


async def test_times_left_and_bars_are_those_of_the_server_at_any_instant() -> None:
    chance = random.Random(7)
    tickets = [random_ticket(number, chance) for number in range(60)]
    served = Served(tickets)
    await served.prepare()
    async with opened(served) as page:
        for seconds in (1, 61, 3_599, 40_000, 86_400 * 3, 86_400 * 9):
            await page.evaluate("milliseconds => { window.shift += milliseconds - performance.now(); }", seconds * 1e3)
            possible = {
                str(ticket.ticket_id): texts_about(ticket, NOW + timedelta(seconds=seconds)) for ticket in tickets
            }

            async def agree(possible: Mapping[str, set[tuple[str, str]]] = possible) -> bool:
                found = await page.evaluate(TEXTS)
                return all(tuple(found[ticket_id]) in texts for ticket_id, texts in possible.items())

            await eventually(agree, f"the texts are those of the server {seconds} s later", 30)


async def test_a_change_keeps_the_focus_finds_its_place_and_is_announced() -> None:
    lefts = {"SR-1": 30, "SR-2": 40, "SR-3": 50, "SR-4": -1}
    served = Served([board_ticket(name, clocks=[hours(left)], summary=name) for name, left in lefts.items()])
    first, second, third, fourth = served.source.tickets.values()
    await served.prepare()
    watcher = await served.updates.watch(Viewer("default", "ada"), BoardFilter("default"), LivePosition(4, NOW))
    served.updates.take(watcher)
    served.source.put(replace(first, clocks=(hours(45),)))
    served.source.put(replace(second, clocks=(hours(-2),)))
    served.source.put(replace(fourth, state=TicketPhase.RESOLVED))
    await served.updates.update()
    changes = b"".join(served.updates.take(watcher))
    async with opened(served) as page:
        rows = page.locator("li.ticket h3")
        await expect(rows).to_have_text(["SR-4", "SR-1", "SR-2", "SR-3"])
        await page.locator(f"#t-{first.ticket_id} a").focus()
        served.events = changes
        await expect(rows).to_have_text(["SR-2", "SR-1", "SR-3"], timeout=30_000)
        await expect(page.locator("#announcer")).to_have_text("Breached: SR-2, Acme GmbH.")
        assert await page.evaluate("document.activeElement.closest('li').id") == f"t-{first.ticket_id}"
        await expect(page.locator("#breached .count")).to_have_text("1")
        await expect(page).to_have_title("1 breached, 3 open · tocsin")
        assert str(third.ticket_id) in await page.locator("#later").inner_html()


def hours(left: int) -> BoardClock:
    return board_clock(left=left * HOUR, target=60 * HOUR)
