"""Reports leave the event loop to others, and only so many are built at the same time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from board.api import reports
from board.domain.report_month import ReportMonth
from board.handlers.reports import MOST_AT_ONCE, ReportSlots, build_report
from board.sources.report_source import GetJson
from support.board_pages import ZONE, BoardPages, board_pages
from support.loop_time import longest_turn
from support.polling import eventually
from support.report_clocks import BEGIN, END, TERMS_BODY, clock_item
from tocsin.instants import render_instant
from tocsin.runtime.process.clock import BusinessClock

PAGES = 10


@dataclass
class Gate:
    """`waiting`: so many requests have arrived."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


def responding(pages: int, gate: Gate | None = None) -> GetJson:
    """Both services, with so many pages of 500 clocks of May. With a gate they respond once it is open."""
    items = [clock_item(ticket=number, outcome="breached", severity=number % 4 + 1) for number in range(500)]

    async def get(service: str, tenant: str, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        await asyncio.sleep(0)  # as a request over the network does
        if gate is not None:
            gate.waiting += 1
            await gate.opened.wait()
        if path == "/v1/terms":
            return TERMS_BODY
        if path == "/v1/compliance":
            return {"items": [{"clock": "response", "month": "2026-05"}], "channels": []}
        number = int(query.get("cursor", "0")) + 1
        if path == "/v1/escalations" or query["from"] != render_instant(BEGIN):
            return {"items": [], "next_cursor": None, "complete_through": None}
        return {
            "items": items,
            "next_cursor": str(number) if number < pages else None,
            "complete_through": render_instant(END),
        }

    return get


async def test_the_numbers_of_a_large_report_are_computed_outside_the_event_loop() -> None:
    work = build_report(responding(PAGES), END, tenant="default", month=ReportMonth.parse("2026-05"))
    report, longest, total = await longest_turn(work)
    assert len(report.misses) == PAGES * 500
    assert longest < total / 4  # a page is parsed at once


@pytest.mark.parametrize("suffix", ["", ".csv", ".json"])
async def test_a_large_report_is_rendered_outside_the_event_loop(tmp_path: Path, suffix: str) -> None:
    async with board_pages(tmp_path) as pages:
        add_reports(pages, responding(PAGES), ReportSlots())
        response, longest, total = await longest_turn(pages.client.get(f"/reports/2026-05{suffix}"))
        assert response.status_code == 200
        assert longest < total / 4


async def test_further_reports_are_refused_after_a_wait_and_wait_for_a_free_slot(tmp_path: Path) -> None:
    gate = Gate()
    async with board_pages(tmp_path) as pages:
        add_reports(pages, responding(1, gate), ReportSlots(longest_wait=0.1))
        running = [asyncio.create_task(pages.client.get("/reports/2026-05.csv")) for _ in range(MOST_AT_ONCE)]
        await eventually(lambda: gate.waiting == MOST_AT_ONCE)
        refused = await pages.client.get("/reports/2026-05.json")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        gate.opened.set()
        assert [each.status_code for each in await asyncio.gather(*running)] == [200] * MOST_AT_ONCE
        assert (await pages.client.get("/reports/2026-05.json")).status_code == 200


def add_reports(pages: BoardPages, get: GetJson, slots: ReportSlots) -> None:
    pages.app.include_router(reports.router(get, BusinessClock(END, END, 0), ZONE, slots))
