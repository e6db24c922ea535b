"""Calendars of deadlines do not hold up the event loop, and are kept as long as nothing has changed."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import BoardTicket, TicketPhase
from board.domain.ticket_links import TicketLinks
from board.handlers.deadline_calendars import DeadlineCalendars
from board.workers.open_tickets import OpenTickets
from support.board_tickets import HOUR, NOW, MemoryTickets, board_clock, board_ticket
from support.loop_time import longest_turn
from tocsin.runtime.process.clock import BusinessClock

DAY = timedelta(days=1)
ALL = BoardFilter("default")
TICKETS = 1500


def calendars_of(tickets: OpenTickets) -> DeadlineCalendars:
    async def load(tenant: str) -> Mapping[UUID, BoardTicket]:
        await tickets.refresh()
        return await tickets.load(tenant)

    return DeadlineCalendars(load, lambda: tickets.version, BusinessClock(NOW, NOW, 0), TicketLinks())


async def test_a_large_calendar_is_exported_outside_the_event_loop() -> None:
    source = MemoryTickets()
    for number in range(TICKETS):
        source.put(board_ticket(f"SR-{number}"))
    calendars = calendars_of(OpenTickets(source))
    await calendars.load(BoardFilter("default", severity=1), within=DAY)  # reads the tickets, and loads the library
    calendar, longest, total = await longest_turn(calendars.load(ALL, within=DAY))
    assert calendar.count(b"BEGIN:VEVENT") == TICKETS
    assert longest < total / 4


async def test_a_calendar_is_exported_once_until_a_ticket_changes() -> None:
    source = MemoryTickets()
    first = source.put(board_ticket("SR-1"))
    source.put(board_ticket("SR-2", clocks=[board_clock(left=30 * HOUR)]))
    calendars = calendars_of(OpenTickets(source))
    before, same = await asyncio.gather(*(calendars.load(ALL, within=DAY) for _ in range(2)))
    assert same is before
    assert before.count(b"BEGIN:VEVENT") == 1
    assert (await calendars.load(ALL, within=2 * DAY)).count(b"BEGIN:VEVENT") == 2
    assert await calendars.load(ALL, within=DAY) is before
    source.put(board_ticket("SR-3"))
    assert (await calendars.load(ALL, within=DAY)).count(b"BEGIN:VEVENT") == 2
    source.put(board_ticket("SR-1", state=TicketPhase.RESOLVED))
    after = await calendars.load(ALL, within=DAY)
    assert str(first.ticket_id).encode() not in after
