"""The open tickets of every tenant that somebody looks at, kept in memory and brought up to date by their versions."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import BoardTicket
from board.store.rebuilds import load_rebuild_version
from board.store.tickets import load_changed, load_open, load_version

FORGET_SECONDS: Final = 60.0
"""Real seconds without any request, after which the tickets are loaded again: reading the changes would take longer."""
FRESH_SECONDS: Final = 0.1
"""Real seconds for which pages use the changes that were read last."""
MOST_CHANGES: Final = 10_000
"""The most changes that are kept for clients that connect again."""
MOST_AT_ONCE: Final = 200
"""The most changed tickets that are read at once: other requests run in between, also during a `rebuild`."""
MOST_MISSED: Final = 2_000
"""How many versions of the time before that are read for them."""


class TicketSource(Protocol):
    """Where the tickets come from: the database, outside of tests."""

    async def version(self) -> int:
        """The highest version up to which every change is visible; 0 if there is none."""

    async def rebuild_version(self) -> int:
        """The version at which the read model was last emptied; 0: never."""

    async def open_tickets(self, tenant: str) -> Sequence[BoardTicket]:
        """The tenant's open tickets."""

    async def changed(self, after: int) -> Sequence[BoardTicket]:
        """The next tickets of all tenants with a higher version, by version; closed ones too. Empty: there are none."""


@dataclass(frozen=True, slots=True)
class DatabaseTickets:
    """The tickets of the read model."""

    reader: AsyncEngine

    async def version(self) -> int:
        async with self.reader.connect() as connection:
            return await load_version(connection)

    async def rebuild_version(self) -> int:
        async with self.reader.connect() as connection:
            return await load_rebuild_version(connection)

    async def open_tickets(self, tenant: str) -> Sequence[BoardTicket]:
        async with self.reader.connect() as connection:
            return await load_open(connection, BoardFilter(tenant))

    async def changed(self, after: int) -> Sequence[BoardTicket]:
        async with self.reader.connect() as connection:
            return await load_changed(connection, after, MOST_AT_ONCE)


class OpenTickets:
    """One per process. `version` is the version up to which all changes have been applied, `rebuild_version` the one at
    which the read model was last emptied: clients that have read less load again.
    """

    def __init__(self, source: TicketSource) -> None:
        self._source = source
        self._lock = asyncio.Lock()
        self._tenants: dict[str, dict[UUID, BoardTicket]] = {}
        self._log: deque[tuple[int, str, UUID]] = deque(maxlen=MOST_CHANGES)
        self._log_start = 0
        self._changes: dict[UUID, BoardTicket] = {}
        self._read_at = -math.inf
        self._used_at = -math.inf
        self.version = 0
        self.rebuild_version = 0

    async def load(self, tenant: str) -> Mapping[UUID, BoardTicket]:
        """The tenant's open tickets by id, up to date."""
        await self.refresh(every=FRESH_SECONDS)
        async with self._lock:
            if tenant not in self._tenants:
                # Changes after `version` are applied by the next refresh, whether this has seen them or not.
                found = await self._source.open_tickets(tenant)
                self._tenants[tenant] = {ticket.ticket_id: ticket for ticket in found}
            return self._tenants[tenant]

    def known(self, tenant: str) -> Mapping[UUID, BoardTicket]:
        """The tenant's open tickets by id, as they were read last; empty before the first `load`."""
        return self._tenants.get(tenant, {})

    async def refresh(self, *, every: float = 0.0) -> None:
        """Apply the changes since the last time, unless that was less than `every` seconds ago."""
        async with self._lock:
            now = time.monotonic()
            if now - self._used_at > FORGET_SECONDS:
                await self._forget()
            self._used_at = now
            if now - self._read_at >= every:
                # Under load, changes without an end come later. Read before the check: it cannot be of a later rebuild.
                until = await self._source.version()
                if await self._source.rebuild_version() != self.rebuild_version:
                    await self._forget()
                while self.version < until:
                    changed = await self._source.changed(self.version)
                    for ticket in changed:
                        self._apply(ticket)
                    if not changed:  # the tickets have higher versions by now
                        self.version = until
                self._read_at = time.monotonic()

    def take_changes(self) -> Collection[BoardTicket]:
        """The tickets of known tenants that have changed since the last call, closed ones too."""
        changes, self._changes = self._changes, {}
        return changes.values()

    async def changed_since(self, version: int, tenant: str) -> set[UUID] | None:
        """The tenant's tickets that have changed after the version, or None if there are too many to tell."""
        async with self._lock:
            if version < self.rebuild_version:
                return None
            if version < self._log_start:
                if self._log_start - version > min(MOST_MISSED, MOST_CHANGES - len(self._log)):
                    return None
                older: list[tuple[int, str, UUID]] = []
                after = version
                while after < self._log_start and (missed := await self._source.changed(after)):
                    after = missed[-1].version
                    older += [(each.version, each.ticket.tenant, each.ticket_id) for each in missed]
                self._log.extendleft(each for each in reversed(older) if each[0] <= self._log_start)
                self._log_start = version
            return {ticket_id for at, owner, ticket_id in self._log if at > version and owner == tenant}

    async def _forget(self) -> None:
        self._tenants.clear()
        self._log.clear()
        self._changes.clear()
        rebuild_version = await self._source.rebuild_version()
        self.version = self._log_start = max(await self._source.version(), rebuild_version)
        self.rebuild_version = rebuild_version

    def _apply(self, ticket: BoardTicket) -> None:
        self.version = max(self.version, ticket.version)
        tenant = ticket.ticket.tenant
        if len(self._log) == MOST_CHANGES:
            self._log_start = self._log[0][0]
        self._log.append((ticket.version, tenant, ticket.ticket_id))
        tickets = self._tenants.get(tenant)
        if tickets is None:
            return
        self._changes[ticket.ticket_id] = ticket
        if ticket.is_open:
            tickets[ticket.ticket_id] = ticket
        else:
            tickets.pop(ticket.ticket_id, None)
