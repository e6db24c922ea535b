"""Renders the board, a ticket and a report in a real browser, for the README: `make pictures` writes docs/board/*.png.

The demo's day is played on a whole stack until its second morning, beside tickets of other customers; the report is
about the month before.
"""

import asyncio
import json
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from playwright.async_api import Browser, expect
from tocsin.instants import render_instant
from tocsin_local.loopback import LOOPBACK
from tocsin_local.services import BOARD, PIPELINE
from tocsin_tools.demo.tickets import TICKETS, DemoEvent, DemoTicket

from support.browser import MISSING, SCHEMES, board_page, chromium, find_chromium
from support.consistency import PostedTicket
from support.movable_stack import MovableStack, start_movable_stack
from support.scenario import Scenario
from support.small_png import reduced

FOLDER: Final = Path(__file__).parents[2] / "docs" / "board"
LARGEST: Final = 200_000
WIDTH, HEIGHT = 1280, 860
SHOWN: Final = timedelta(hours=25, minutes=50)
"""From the beginning of the demo's day to the instant of the pictures: two tickets are late, and one is silent soon."""
STORY: Final = "Web shop is slow"
PAST: Final = 240
BATCH: Final = 120
VIEWER: Final = {"X-Forwarded-User": "Ruth Adeyemi", "X-Forwarded-Groups": "service-desk"}
"""Who looks, as a trusted proxy says. The id of an API key would differ in each run, and with it the pictures."""
DESK: Final = ("Maya Lindqvist", "Tomas Herrera", "Ruth Adeyemi")
SUMMARIES: Final = ("Mail is down", "Password reset", "Printer jams", "VPN drops", "New laptop", "Share is full")


def _others() -> tuple[DemoTicket, ...]:
    """Tickets of other customers, which somebody works on."""

    def ticket(title: str, severity: int, opened: float, customer: str, assignee: str, *more: DemoEvent) -> DemoTicket:
        at = timedelta(hours=opened)
        person = {"assignee": {"name": assignee}}
        events = (
            DemoEvent(at + timedelta(minutes=8), "assigned", "assigned", person),
            DemoEvent(at + timedelta(minutes=10), "responded", "answered"),
        )
        return DemoTicket(title, "", severity, at, "Dana Okafor", customer, "Service", (*events, *more))

    waits = DemoEvent(timedelta(hours=9), "paused", "paused", {"reason": "waiting_customer"})
    return (
        ticket("Backup of the file server failed", 1, 5, "umbrella", DESK[0]),
        ticket("Firewall blocks the branch office", 2, 1, "initech", DESK[1]),
        ticket("Scanner sends empty pages", 3, 3, "globex", DESK[2], waits),
        ticket("Account for a new colleague", 4, 6, "acme", DESK[1]),
        ticket("Phones ring at the wrong desk", 3, 24.5, "umbrella", DESK[0]),
    )


def _month_before(instant: datetime) -> datetime:
    """The first day of the month before, at noon."""
    return (instant.replace(day=1, hour=12, minute=0) - timedelta(days=1)).replace(day=1)


def _month(begin: datetime) -> list[dict[str, Any]]:
    """Items of `POST /v1/tickets/batch`: a month of tickets, most of them answered and resolved in time."""
    random = Random(7)
    return [_past_ticket(random, number, begin + random.random() * timedelta(days=30)) for number in range(PAST)]


def _past_ticket(random: Random, number: int, opened: datetime) -> dict[str, Any]:
    opened = opened.replace(hour=random.choice((9, 12, 13, 13, 14, 14, 15, 16, 18, 20)))
    severity = random.choices((1, 2, 3, 4), (1, 2, 5, 4))[0]
    responded = opened + timedelta(minutes=random.lognormvariate(3, 1))
    resolved = responded + timedelta(hours=random.lognormvariate(1.2, 1.3) * severity)
    customer = random.choice(("acme", "globex", "initech"))
    return {
        "source": "import",
        "external_id": f"OLD-{number}",
        "opened_at": render_instant(opened),
        "severity": severity,
        "summary": random.choice(SUMMARIES),
        "affected_services": ["Service"],
        "contact": {"name": "Dana Okafor", "email": "dana@example.org"},
        "customer": {"id": customer, "name": customer.capitalize()},
        "events": [
            {"type": kind, "actor": "desk", "occurred_at": render_instant(at)}
            for kind, at in (("responded", responded), ("resolved", resolved))
        ],
    }


async def _play(scenario: Scenario) -> str:
    """Post the month and play the day; the id of the ticket of the story."""
    items = _month(_month_before(scenario.start))
    for begin in range(0, len(items), BATCH):
        response = await scenario.post("/v1/tickets/batch", {"tickets": items[begin : begin + BATCH]})
        assert all(result["status"] == 201 for result in response["results"])
    await scenario.wait_until_idle()
    posted: dict[str, PostedTicket] = {}
    tickets = (*TICKETS, *_others())
    agenda: list[tuple[timedelta, int, DemoEvent | None]] = []
    for number, ticket in enumerate(tickets):
        agenda += [(ticket.opened, number, None), *((event.after, number, event) for event in ticket.events)]
    for after, number, event in sorted((each for each in agenda if each[0] <= SHOWN), key=lambda each: each[:2]):
        ticket = tickets[number]
        await scenario.advance_stepwise_past(scenario.start + after)
        if event is None:
            request = ticket.body(f"SR-{1041 + number}", scenario.start)
            posted[ticket.title] = scenario.add_ticket(request, await scenario.post("/v1/tickets", request))
        elif event.type == "assigned":  # it changes no clock
            await scenario.post(f"/v1/tickets/{posted[ticket.title].id}/events", event.body(scenario.start))
        else:
            await scenario.post_event(posted[ticket.title], event.type, scenario.start + event.after, **event.fields)
    await scenario.advance_stepwise_past(scenario.start + SHOWN)
    return posted[STORY].id


async def _render(browser: Browser, stack: MovableStack, name: str, path: str) -> None:
    url = stack.stack.run["urls"][BOARD]
    for scheme in SCHEMES:
        async with board_page(browser, url, None, width=WIDTH, scheme=scheme, headers=VIEWER) as page:
            await page.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            await page.open(path)
            if name == "board":
                await expect(page.page.locator("#live")).to_have_text("live")
            picture = reduced(await page.page.screenshot())
        if len(picture) > LARGEST:
            raise RuntimeError(f"{name} has {len(picture)} bytes")
        (FOLDER / f"{name}-{scheme}.png").write_bytes(picture)


async def _render_all(stack: MovableStack) -> None:
    async with Scenario(stack) as scenario, chromium() as browser:
        ticket_id, month = await _play(scenario), _month_before(scenario.start)
        await _render(browser, stack, "board", "/")
        await _render(browser, stack, "ticket", f"/tickets/{ticket_id}")
        await _render(browser, stack, "report", f"/reports/{month:%Y-%m}")


def main() -> None:
    if find_chromium() is None:
        sys.exit(MISSING)
    FOLDER.mkdir(exist_ok=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tocsin-pictures-", ignore_cleanup_errors=True) as folder,
            start_movable_stack(
                Path(folder),
                services=(*PIPELINE, BOARD),
                ends_on_signals=True,
                TOCSIN_BOARD_PROXIES=f"{LOOPBACK}/32",
                TOCSIN_BOARD_TENANTS=json.dumps({"service-desk": "default"}),
            ) as stack,
        ):
            asyncio.run(_render_all(stack))
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
