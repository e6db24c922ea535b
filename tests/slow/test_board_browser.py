"""The pages of the board in a real browser, with the whole system behind them: on every screen, by keyboard, live, and
with 2,000 tickets.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect
from support.browser import (
    DESKTOP,
    HEIGHT,
    MISSING,
    PHONE,
    SCHEMES,
    SMALL_PHONE,
    BoardPage,
    board_page,
    chromium,
    find_chromium,
)
from support.consistency import PostedTicket
from support.movable_stack import MovableStack, start_movable_stack
from support.polling import eventually
from support.scenario import Scenario
from support.search_budget import TORTURE
from support.servers import NO_CERTIFICATES, log_line
from tocsin.instants import render_instant
from tocsin.runtime.http.api_keys import TICKETS_READ, add_key, issue
from tocsin_local.services import BOARD, PIPELINE

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(find_chromium() is None, reason=MISSING),
]
MANY = 2000
BATCH = 500
WATCHERS = 200
WIDTHS = (DESKTOP, PHONE)
SCREENS = tuple(product(WIDTHS, SCHEMES)) if TORTURE else tuple(zip(WIDTHS, SCHEMES, strict=True))
"""Widths and schemes: each of them once, in `make torture` all combinations."""
KEYS = 5
PAINT_SECONDS = 10.0
"""A generous bound for a busy machine; an idle one paints in a fraction of a second."""
WATCH_SECONDS = 120
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    """A stack with the board. Its business time stands still unless a test moves it."""
    with start_movable_stack(tmp_path_factory.mktemp("browser"), services=(*PIPELINE, BOARD)) as stack:
        yield stack


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@dataclass(frozen=True)
class Reader:
    """Somebody who looks at the board of the stack in a browser."""

    browser: Browser
    url: str
    key: str

    def page(self, *, signed_in: bool = True, **screen: Any) -> AbstractAsyncContextManager[BoardPage]:
        """A blank page on a screen as of `board_page`."""
        return board_page(self.browser, self.url, self.key if signed_in else None, **screen)


@pytest.fixture
def reader(browser: Browser, movable_stack: MovableStack) -> Reader:
    run = movable_stack.stack.run
    return Reader(browser, run["urls"][BOARD], run["api_key"])


@pytest.fixture
async def tickets(scenario: Scenario) -> Mapping[str, PostedTicket]:
    """One ticket in each group of the board, one that is paused and one that somebody has acknowledged."""

    async def opened(name: str, hours_ago: int, *events: str, severity: int = 1, **fields: Any) -> PostedTicket:
        at = scenario.now - hours_ago * HOUR
        fields |= {"summary": f"{name} <b>&amp;</b>", "opened_at": render_instant(at)}
        ticket = await scenario.open_ticket(severity, **fields)
        for number, event in enumerate(events, start=1):
            await scenario.post_event(ticket, event, at + number * timedelta(minutes=5))
        return ticket

    somebody: dict[str, Any] = {"assignee": {"name": "Maya Lindqvist"}, "customer": {"id": "globex", "name": "Globex"}}
    made = {
        "breached": await opened("Mail is down", 30, "responded"),
        "silent": await opened("Printer burns", 27),
        "acknowledged": await opened("Payroll fails", 26, "responded", **somebody),
        "at_risk": await opened("VPN drops", 22, "responded", severity=1, **somebody),
        "paused": await opened("Laptop wanted", 5, "responded", "paused", severity=2),
        "later": await opened("Screen flickers", 0, severity=3),
    }
    await scenario.post_event(made["acknowledged"], "acknowledged")
    await scenario.wait_until_idle()
    return made


async def assert_page(reader: Reader, path: str, heading: str, *, signed_in: bool = True) -> None:
    """The page is right for every scheme and width: its heading, axe, no scrolling sideways, no fault."""
    for width, scheme in SCREENS:
        where = f"{path}, {scheme}, {width} pixels"
        async with reader.page(signed_in=signed_in, width=width, scheme=scheme) as page:
            await page.open(path)
            await expect(page.page.get_by_role("heading", level=1)).to_contain_text(heading)
            assert page.path.partition("?")[0] == path.partition("?")[0]
            assert await page.violations() == "", where
            assert await page.overflow() == 0, where
            if width == PHONE:
                await page.page.set_viewport_size({"width": SMALL_PHONE, "height": HEIGHT})
                assert await page.overflow() == 0, f"{path}, {scheme}, {SMALL_PHONE} pixels"


async def test_the_board_can_be_read_on_every_screen(reader: Reader, tickets: Mapping[str, PostedTicket]) -> None:
    await assert_page(reader, "/", "Open tickets")
    async with reader.page() as page:
        await page.open("/")
        for group in ("breached", "silent", "at_risk", "later"):
            row = page.page.locator(f"#{group} #t-{tickets[group].id}")
            await expect(row.get_by_role("heading")).to_contain_text("<b>&amp;</b>")  # text, not markup
        await expect(page.page.locator("[data-count=open]")).to_have_text(str(len(tickets)))


async def test_the_wall_screen_can_be_read_on_every_screen(reader: Reader, tickets: Mapping[str, PostedTicket]) -> None:
    await assert_page(reader, "/?wall=1", "Open tickets")
    async with reader.page(width=1920) as page:
        await page.open("/?wall=1")
        size: str = await page.page.locator(f"#t-{tickets['breached'].id} h3").evaluate(
            "element => getComputedStyle(element).fontSize"
        )
    assert float(size.removesuffix("px")) >= 24


async def test_filters_are_in_the_address(reader: Reader, tickets: Mapping[str, PostedTicket]) -> None:
    await assert_page(reader, "/?customer=globex&severity=1&text=vpn", "Filtered tickets")
    async with reader.page() as page:
        await page.open("/")
        await page.page.get_by_label("Customer").select_option("globex")
        await page.page.get_by_label("Text").fill("vpn")
        await page.page.get_by_role("button", name="Filter").click()
        await expect(page.page.locator("li.ticket")).to_have_count(1)
        assert "customer=globex" in page.path
        assert "text=vpn" in page.path
        await page.page.reload()
        await expect(page.page.locator("li.ticket h3")).to_contain_text("VPN drops")
        await page.page.get_by_role("link", name="Show all").click()
        await expect(page.page.locator("li.ticket")).to_have_count(len(tickets))


async def test_a_tickets_page_can_be_read_on_every_screen(reader: Reader, tickets: Mapping[str, PostedTicket]) -> None:
    for name in ("breached", "paused", "acknowledged"):
        await assert_page(reader, f"/tickets/{tickets[name].id}", "<b>&amp;</b>")


async def test_the_page_of_who_is_on_call_can_be_read_on_every_screen(reader: Reader, scenario: Scenario) -> None:
    await assert_page(reader, "/on-call", "Who is on call")


async def test_the_reports_can_be_read_on_every_screen(reader: Reader, tickets: Mapping[str, PostedTicket]) -> None:
    await assert_page(reader, "/reports", "Reports")
    async with reader.page() as page:
        await page.open("/reports")
        await page.page.get_by_role("button", name="Show the report").click()
        await expect(page.page.get_by_role("heading", level=1)).to_be_visible()
        path = page.path
    await assert_page(reader, path, "")


async def test_the_login_and_an_error_can_be_read_on_every_screen(reader: Reader, scenario: Scenario) -> None:
    await assert_page(reader, "/login", "Sign in", signed_in=False)
    async with reader.page() as page:
        await page.open("/tickets/00000000-0000-5000-8000-000000000007")
        assert await page.violations() == ""
        # The status, and the browser's line about it.
        await eventually(lambda: len(page.faults) >= 2, lambda: f"the browser reports the error: {page.faults}")
        assert all("404" in fault for fault in page.faults)
        page.faults.clear()


async def test_everything_can_be_done_by_keyboard(reader: Reader, tickets: Mapping[str, PostedTicket]) -> None:
    async with reader.page(signed_in=False) as page:
        press = page.page.keyboard.press
        await page.open("/")
        await expect(page.page).to_have_title("Sign in · tocsin")
        await page.page.keyboard.press("Tab")
        assert await page.focused() == "Skip to the content"
        for _ in range(8):
            await press("Tab")
            if await page.focused() == "key":
                break
        await page.page.keyboard.type(reader.key)
        await press("Enter")
        await expect(page.page.locator("#live")).to_have_text("live")

        await press("Tab")
        assert await page.focused() == "Skip to the content"
        await press("Enter")
        assert await page.page.evaluate("document.activeElement.id") == "main"
        order = await tab_order(page, 60)
        wanted = ["Customer", "Severity", "State", "Assignee", "Text"]
        assert [name for name in order if name in wanted] == wanted, order
        first = next(name for name in order if "Mail is down" in name)
        assert order.index(first) > order.index("Filter"), "the tickets come after the filters"

        await page.page.locator(f"#t-{tickets['breached'].id} a").focus()
        await press("Enter")
        await expect(page.page.get_by_role("heading", level=1)).to_contain_text("Mail is down")
        await page.page.go_back()
        await page.page.get_by_label("Text").focus()
        await page.page.keyboard.type("vpn")
        await press("Enter")
        await expect(page.page.locator("li.ticket")).to_have_count(1)
        await page.page.get_by_role("button", name="Sign out").focus()
        await press("Enter")
        await expect(page.page).to_have_title("Sign in · tocsin")
        await page.open("/")
        await expect(page.page).to_have_title("Sign in · tocsin")


async def tab_order(page: BoardPage, steps: int) -> list[str]:
    """The labels, or the texts, of the elements that get the focus one after the other. Each shows that it has it."""
    names: list[str] = []
    for _ in range(steps):
        await page.page.keyboard.press("Tab")
        name, shown = await page.page.evaluate(
            """() => {
                if (document.activeElement === document.body) return ["", false];
                const {labels, ariaLabel, innerText} = document.activeElement;
                const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(document.activeElement);
                const shown = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
                return [(labels?.[0]?.innerText || ariaLabel || innerText || "").trim(), shown];
            }"""
        )
        if names and not name:
            break  # the end of the page
        assert shown, f"{name} does not show that it has the focus"
        names.append(name)
    return names


async def test_a_breach_moves_the_row_without_a_reload(
    reader: Reader, scenario: Scenario, tickets: Mapping[str, PostedTicket]
) -> None:
    ticket = tickets["at_risk"]
    (clock,) = [each for each in (await scenario.clocks(ticket))["clocks"] if each["outcome"] == "running"]
    async with reader.page() as page:
        await page.open("/")
        await page.page.evaluate("window.isTheSamePage = true")
        await expect(page.page.locator(f"#at_risk #t-{ticket.id}")).to_be_visible()
        await expect(page.page.locator("#live")).to_have_text("live")
        breached = int(await page.page.locator(".counts [data-count=breached]").inner_text())
        await scenario.advance_past(datetime.fromisoformat(clock["due_at"]))
        row = page.page.locator(f"#breached #t-{ticket.id}")
        await expect(row).to_be_visible()
        await expect(page.page.locator(f"#at_risk #t-{ticket.id}")).to_have_count(0)
        await expect(row.locator(".left").first).to_contain_text("overdue")
        await expect(page.page.locator(".counts [data-count=breached]")).to_have_text(str(breached + 1))
        await expect(row.locator(".ladder")).to_contain_text("Tier 1")

        await scenario.post_event(ticket, "resolved")
        await expect(row).to_have_count(0)
        await expect(page.page.locator(".counts [data-count=breached]")).to_have_text(str(breached))
        assert await page.page.evaluate("window.isTheSamePage")


async def test_a_board_that_restarts_is_live_again_without_a_reload(
    reader: Reader, scenario: Scenario, tickets: Mapping[str, PostedTicket]
) -> None:
    async with reader.page() as page:
        await page.open("/")
        await expect(page.page.locator("#live")).to_have_text("live")
        await scenario.stack.stop(BOARD)
        await expect(page.page.locator("#live")).to_contain_text("stale since")
        await scenario.post_event(tickets["later"], "resolved")
        await scenario.stack.start(BOARD)
        await expect(page.page.locator("#live")).to_have_text("live")
        await expect(page.page.locator(f"#t-{tickets['later'].id}")).to_have_count(0)
        page.faults[:] = [fault for fault in page.faults if "ERR_" not in fault]  # while it was away


async def test_2000_tickets_and_200_watchers(reader: Reader, scenario: Scenario, movable_stack: MovableStack) -> None:
    """All get every update; a page with all tickets is painted and stays usable."""
    keys = await add_keys(reader, movable_stack.stack.state.keys_file, KEYS)
    for _ in range(MANY // BATCH):
        await scenario.open_tickets(BATCH, "responded")
    await scenario.wait_until_idle()
    *_, last = scenario.tickets
    async with reader.page() as page:
        await page.open("/")
        await expect(page.page.locator("[data-count=open]")).to_have_text(str(MANY))
        await expect(page.page.locator("li.ticket")).to_have_count(MANY)
        await expect(page.page.get_by_text("Deadlines not read yet")).to_have_count(0)
        paint = await first_paint(page)
        log_line(f"first paint of {MANY} open tickets: {paint:.2f} s")
        assert paint < PAINT_SECONDS
        await expect(page.page.locator("#live")).to_have_text("live")

        async with asyncio.TaskGroup() as group:
            address = await page.page.locator("#board").get_attribute("data-live")
            watching = [
                group.create_task(watch(f"{reader.url}{address}", keys[number % len(keys)], last.id))
                for number in range(WATCHERS)
            ]
            await scenario.wait_for_metric(BOARD, "sla_board_watchers", WATCHERS + 1.0)
            began = time.monotonic()
            await scenario.post_event(last, "paused")
        log_line(f"an update reached {WATCHERS} watchers {max(each.result() for each in watching) - began:.2f} s later")
        await expect(page.page.locator(f"#t-{last.id}.is-paused")).to_have_count(1)


async def add_keys(reader: Reader, file: Path, count: int) -> list[str]:
    """New keys that the board accepts: the number of pages that one person may watch is limited."""
    keys = []
    for _ in range(count):
        text, entry = issue("default", (TICKETS_READ,))
        add_key(file, entry)
        keys.append(text)
    headers = {"Authorization": f"Bearer {keys[-1]}"}
    async with httpx.AsyncClient(verify=NO_CERTIFICATES) as http:

        async def is_accepted() -> bool:
            return (await http.get(f"{reader.url}/on-call", headers=headers)).is_success

        await eventually(is_accepted, "the board has loaded the new keys")
    return keys


async def first_paint(page: BoardPage) -> float:
    """Seconds from the request of the page until its content was first painted."""
    milliseconds: float = await page.page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    return milliseconds / 1000


async def watch(address: str, key: str, ticket_id: str) -> float:
    """When an update of this ticket arrived from the live stream at this address, by time.monotonic()."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=WATCH_SECONDS, verify=NO_CERTIFICATES) as http,
        http.stream("GET", address) as stream,
    ):
        async for line in stream.aiter_lines():
            name, _, data = line.partition(": ")
            if name == "data" and ticket_id in data and "is-paused" in json.loads(data).get("html", ""):
                return time.monotonic()
    raise AssertionError("the stream ended without the update")
