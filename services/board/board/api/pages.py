"""`GET /`: the open tickets by time left, in four groups; with `?wall=1` for a screen on the wall."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from tocsin.runtime.process.clock import TimeSource

from board.api.access import CurrentViewer
from board.api.board_query import BoardQuery, Wanted
from board.api.board_rows import BoardRows
from board.api.html import compressed, render
from board.api.page_route import page_router
from board.domain.board_page import GROUP_WORDS, Counts, Select, count_tickets, filter_selects
from board.domain.board_ticket import BoardTicket, TicketGroup
from board.domain.ticket_row import ShownInstant, shown, sort_key
from board.domain.time_words import PageTime
from board.workers.open_tickets import OpenTickets

_ROWS_AT_ONCE: Final = 100
"""Rows that are rendered before other requests and live updates have their turn."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with its rows as HTML."""

    name: str
    words: str
    hint: str
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoardPage:
    """The values of the template."""

    is_wall: bool
    is_filtered: bool
    now: ShownInstant
    now_seconds: float
    rate: float
    zone: str
    zone_key: str
    stale: str | None
    counts: Counts
    groups: tuple[GroupView, ...]
    selects: tuple[Select, ...]
    text: str
    live_address: str
    wall_address: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """What the page needs: the tickets, how to render them, the clock, and whether the tickets are out of date."""

    tickets: OpenTickets
    rows: BoardRows
    clock: TimeSource
    zone: ZoneInfo
    problem: Callable[[str], str | None]
    """Says in a sentence why and since when a tenant's tickets are out of date; None if they are not."""

    async def page(self, tenant: str, query: BoardQuery, *, is_wall: bool) -> BoardPage:
        """The page for the tenant's tickets that the query selects."""
        wanted = query.wanted(tenant)
        known = await self.tickets.load(tenant)
        version, now = self.tickets.version, self.clock.now()
        selected = [(found, found.group(now)) for found in known.values() if wanted.matches(found)]
        times = PageTime(self.zone, now)
        return BoardPage(
            is_wall=is_wall,
            is_filtered=bool(query.values),
            now=shown(now, times),
            now_seconds=round(now.timestamp(), 3),
            rate=self.clock.rate,
            zone=times.zone_words,
            zone_key=self.zone.key,
            stale=self.problem(tenant),
            counts=count_tickets(selected),
            groups=await self._groups(selected, now),
            selects=() if is_wall else filter_selects(tuple(known.values()), query.values),
            text=query.text,
            live_address=query.address("/live", after=f"{version}.{int(now.timestamp())}"),
            wall_address=query.address("/", wall="1"),
        )

    async def _groups(self, selected: list[tuple[BoardTicket, TicketGroup]], now: datetime) -> tuple[GroupView, ...]:
        ordered = sorted(selected, key=lambda each: (sort_key(each[0], now), each[0].ticket_id))
        rows: dict[TicketGroup, list[str]] = {group: [] for group in GROUP_WORDS}
        for number, (found, group) in enumerate(ordered):
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
            rows[group].append(self.rows.render(found, now))
        return tuple(GroupView(group, *words, rows=tuple(rows[group])) for group, words in GROUP_WORDS.items())


def router(board: Board) -> APIRouter:
    """The route of the first page."""
    routes = page_router()

    @routes.get("/")
    async def get_board(
        request: Request,
        viewer: CurrentViewer,
        query: Wanted,
        wall: Annotated[Literal["", "1"], Query(description="1 for a screen on the wall")] = "",
    ) -> Response:
        page = await board.page(viewer.tenant, query, is_wall=wall == "1")
        return await compressed(request, render("board.html.j2", viewer=viewer, section="board", page=page))

    return routes
