"""Calendars of deadlines, which many calendar programs request again and again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tocsin.runtime.process.clock import TimeSource

from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import BoardTicket
from board.domain.deadline_calendar import deadlines_within, export_deadlines
from board.domain.ticket_links import TicketLinks

OpenTicketsOf = Callable[[str], Awaitable[Mapping[UUID, BoardTicket]]]
"""The open tickets of a tenant by id, up to date."""

_MOST_KEPT: Final = 100
_MOST_BYTES: Final = 32_000_000

_Key = tuple[BoardFilter, timedelta]
_State = tuple[int, datetime]


class DeadlineCalendars:
    """One per process. `version` returns the version of the tickets that `open_tickets` has returned last.

    A calendar is exported in a thread, because it takes 0.3 s at 2,000 tickets, and one after the other. It is kept
    until a ticket changes, for a minute of business time at most.
    """

    def __init__(
        self, open_tickets: OpenTicketsOf, version: Callable[[], int], clock: TimeSource, links: TicketLinks
    ) -> None:
        self._open_tickets = open_tickets
        self._version = version
        self._clock = clock
        self._links = links
        self._exporting = asyncio.Lock()
        self._kept: OrderedDict[_Key, tuple[_State, bytes]] = OrderedDict()

    async def load(self, wanted: BoardFilter, *, within: timedelta) -> bytes:
        """The iCalendar of the deadlines from now to `within` later."""
        async with self._exporting:
            tickets = await self._open_tickets(wanted.tenant)
            now, key = self._clock.now(), (wanted, within)
            state = (self._version(), now.replace(second=0, microsecond=0))
            kept = self._kept.pop(key, None)
            if kept is None or kept[0] != state:
                selected = [ticket for ticket in tickets.values() if wanted.matches(ticket)]
                kept = (state, await asyncio.to_thread(self._export, selected, now, within))
            self._kept[key] = kept
            self._forget_oldest()
            return kept[1]

    def _export(self, tickets: list[BoardTicket], now: datetime, within: timedelta) -> bytes:
        return export_deadlines(deadlines_within(tickets, now, within), self._links)

    def _forget_oldest(self) -> None:
        while len(self._kept) > _MOST_KEPT or sum(len(calendar) for _, calendar in self._kept.values()) > _MOST_BYTES:
            self._kept.popitem(last=False)
