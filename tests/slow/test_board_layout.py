"""The rows of the board in a real browser: however long their texts are, they stay compact and their bars aligned."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from board.domain.board_ticket import ClockState, TicketPhase
from playwright.async_api import Page, Route
from support.board_pages import BoardPages, board_pages
from support.board_tickets import HOUR, MINUTE, NOW, board_clock, board_ladder, board_ticket
from support.browser import DESKTOP, HEIGHT, MISSING, PHONE, chromium, find_chromium

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(find_chromium() is None, reason=MISSING),
]
SHORT, LONG = "Printer on floor 3", "The printer on floor 3 prints blank pages. " * 230
WIDE = 1920
_CLIPPED = """all => {
  const end = document.querySelector(".clocks").getBoundingClientRect().right;
  const isClipped = each => each.scrollWidth > each.clientWidth || each.getBoundingClientRect().right > end;
  return all.filter(isClipped).map(each => each.textContent);
}"""
"""The texts that are wider than their column, or beyond the end of the row."""


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[BoardPages]:
    async with board_pages(tmp_path) as made:
        yield made


@pytest.fixture
async def page(board: BoardPages) -> AsyncIterator[Page]:
    """A page whose requests the application answers, except for the one of the live updates."""

    async def respond(route: Route) -> None:
        if "/live" in route.request.url:
            await route.abort()
            return
        response = await board.client.get(route.request.url, headers={"Accept": "text/html"})
        await route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.content)

    async with chromium() as browser:
        made = await browser.new_page()
        await made.route("**/*", respond)
        yield made


async def lines(page: Page, selector: str) -> list[float]:
    """The height of each element in lines of its text."""
    found: list[float] = await page.eval_on_selector_all(
        selector,
        "all => all.map(each => each.getBoundingClientRect().height / parseFloat(getComputedStyle(each).lineHeight))",
    )
    return found


@pytest.mark.parametrize(("path", "width", "most"), [("/", DESKTOP, 2), ("/", PHONE, 2), ("/?wall=1", WIDE, 1)])
async def test_a_long_summary_fills_few_lines_and_stays_readable_for_screen_readers(
    board: BoardPages, page: Page, path: str, width: int, most: int
) -> None:
    board.source.put(board_ticket("SR-1", summary=LONG))
    await page.set_viewport_size({"width": width, "height": HEIGHT})
    await page.goto(f"http://localhost{path}")
    (height,) = await lines(page, ".ticket h3")
    assert most - 0.1 < height < most + 0.1
    assert await page.inner_text(".ticket h3") == LONG.strip()


@pytest.mark.parametrize("width", [800, 1000, 1130, DESKTOP, 1600, WIDE])
async def test_each_clock_fills_one_line_inside_its_row(board: BoardPages, page: Page, width: int) -> None:
    left = (-(16 * HOUR + 50 * MINUTE), -(6 * 24 * HOUR + 23 * HOUR), 99 * HOUR + 59 * MINUTE, HOUR)
    for number, each in enumerate(left):
        clocks = [board_clock("response", left=each, target=200 * HOUR), board_clock(left=each, target=200 * HOUR)]
        board.source.put(board_ticket(f"SR-{number}", clocks=clocks, ladder=board_ladder(at=NOW - HOUR)))
    paused = board_clock(left=99 * HOUR + 59 * MINUTE, target=200 * HOUR, state=ClockState.PAUSED)
    board.source.put(board_ticket("SR-9", clocks=[paused], state=TicketPhase.PAUSED))
    await page.set_viewport_size({"width": width, "height": HEIGHT})
    await page.goto("http://localhost/")
    texts = await page.eval_on_selector_all(".clock .left", "all => all.map(each => each.textContent)")
    heights = await page.eval_on_selector_all(".clock", "all => all.map(each => each.getBoundingClientRect().height)")
    assert {"overdue by 16 h 50 min", "paused, 99 h 59 min left"} <= set(texts)
    assert len(set(heights)) == 1, dict(zip(texts, heights, strict=True))
    assert await page.eval_on_selector_all(".clock .left, .clock .due", _CLIPPED) == []
