"""Tickets of the read model, as `BoardTicket` values."""

import asyncio
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Ticket
from tocsin.events import ticket_id as id_of

from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import BoardTicket, LastMail, TicketPhase
from board.domain.owner_responses import read_clocks, read_ladder, read_tiers
from board.errors import TicketNotOnBoardError
from board.store.tables import TICKETS
from board.store.versions import load_complete_version

__all__ = ["BoardFilter", "load_by_external", "load_changed", "load_open", "load_ticket", "load_version"]

_C: Final = TICKETS.c
_TICKETS: Final = select(
    _C.ticket,
    _C.severity,
    _C.state,
    _C.assignee,
    _C.facts,
    _C.historic,
    _C.clocks,
    _C.ladder,
    _C.last_mail,
    _C.version,
).where(_C.ticket.is_not(None))


_SLICE: Final = 50
"""How many rows are read before other tasks get a turn: about 10 ms."""


async def load_open(connection: AsyncConnection, wanted: BoardFilter) -> list[BoardTicket]:
    """The open tickets that the filter selects, in no order."""
    columns = {
        _C.customer_id: wanted.customer,
        _C.severity: wanted.severity,
        _C.state: wanted.state,
        _C.assignee: wanted.assignee,
    }
    query = _TICKETS.where(_C.is_open, _C.tenant == wanted.tenant)
    query = query.where(*(column == value for column, value in columns.items() if value is not None))
    return [ticket for ticket in await _load(connection, query) if wanted.matches(ticket)]


async def load_ticket(connection: AsyncConnection, tenant: str, ticket_id: UUID) -> BoardTicket:
    """The tenant's ticket. Raises TicketNotOnBoardError."""
    found = await _load(connection, _TICKETS.where(_C.ticket_id == ticket_id, _C.tenant == tenant))
    if not found:
        raise TicketNotOnBoardError(f"The board has no ticket {ticket_id}.")
    return found[0]


async def load_by_external(connection: AsyncConnection, tenant: str, source: str, external_id: str) -> BoardTicket:
    """The ticket that the tenant's tool `source` knows by this id, in any spelling. Raises TicketNotOnBoardError."""
    return await load_ticket(connection, tenant, id_of(tenant, source, external_id))


async def load_changed(connection: AsyncConnection, after_version: int, most: int | None = None) -> list[BoardTicket]:
    """The tickets of all tenants that have changed since that version, ordered by version, also closed ones.

    At most so many of them, if `most` is given. The version of the last one is the argument of the next call: no change
    is missed.
    """
    complete = await load_complete_version(connection)
    if complete <= after_version:
        return []
    changed = _TICKETS.where(_C.version > after_version, _C.version <= complete)
    return await _load(connection, changed.order_by(_C.version).limit(most))


async def load_version(connection: AsyncConnection) -> int:
    """The highest complete version, for `load_changed`; 0 while nothing has arrived.

    Tickets that are loaded after this call are at least as new.
    """
    return await load_complete_version(connection)


async def _load(connection: AsyncConnection, query: Select[Any]) -> list[BoardTicket]:
    tickets = []
    for row in (await connection.execute(query)).all():
        tickets.append(_board_ticket(row))
        if len(tickets) % _SLICE == 0:
            await asyncio.sleep(0)
    return tickets


def _board_ticket(row: Row[Any]) -> BoardTicket:
    clocks = None if row.clocks is None else orjson.loads(row.clocks)
    return BoardTicket(
        ticket=Ticket.model_validate_json(row.ticket),
        severity=row.severity,
        state=TicketPhase(row.state),
        assignee=row.assignee,
        facts=row.facts,
        historic=row.historic,
        clocks=() if clocks is None else read_clocks(clocks),
        tiers=() if clocks is None else read_tiers(clocks),
        ladder=None if row.ladder is None else read_ladder(orjson.loads(row.ladder)),
        last_mail=None if row.last_mail is None else _last_mail(row.last_mail),
        version=row.version,
    )


def _last_mail(text: str) -> LastMail:
    mail = orjson.loads(text)
    return LastMail(name=mail["name"], role=mail["role"], at=datetime.fromisoformat(mail["at"]))
