"""Who is mailed next: claims deliveries for this process, choosing each recipient at that moment (RULES 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.directory import Directory
from tocsin.events import Notify, StandDown
from tocsin.runtime.clock import Clock
from tocsin.runtime.database import clock_timestamp
from tocsin.runtime.directory_file import DirectoryFile

from notifier import store
from notifier.delivery import Stored, told_before
from notifier.metrics import EMAILS
from notifier.turns import Needless, NobodyFound, Open, Person, Send, Turn, Wait, turns
from notifier.wording import Told

log = structlog.get_logger(__name__)

_TICKETS_A_CLAIM = 4  # tickets looked at for each delivery wanted: some of them wait behind another delivery


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours to attempt while its lease is renewed, to whom, and what its mail tells."""

    delivery: Stored
    notice: Notify | StandDown
    person: Person
    told: Sequence[Told]


@dataclass(frozen=True, slots=True)
class _Work:
    """One claiming transaction: its instants, what it read, and what it ended."""

    connection: AsyncConnection
    directory: Directory
    lease: timedelta
    real_now: datetime
    now: datetime
    notices: Mapping[UUID, Notify | StandDown]
    results: list[str] = field(default_factory=list)


class Claims:
    """Claims for one process; any number of replicas may work side by side on one database.

    Everything about a ticket is decided under the lock of its row. A claim is a lease in real time with a fencing
    token, so that who lost it changes nothing any more.
    """

    def __init__(self, engine: AsyncEngine, directory: DirectoryFile, clock: Clock, lease: timedelta) -> None:
        self._engine = engine
        self._directory = directory
        self._clock = clock
        self._lease = lease

    async def claim(self, limit: int) -> list[Claim]:
        """Up to `limit` deliveries whose turn it is, the most urgent first; nothing while there is no directory."""
        directory = self._directory.current()
        if directory is None:
            return []
        async with self._engine.begin() as connection:
            urgent = await store.tickets_with_work(connection, limit * _TICKETS_A_CLAIM)
            locked = await store.lock_free_tickets(connection, urgent) if urgent else []
            if not locked:
                return []
            work = await self._read(connection, directory, locked)
            tickets = _by_ticket(await store.of_tickets(connection, locked))
            claims: list[Claim] = []
            for ticket_id in urgent:
                if ticket_id in tickets:
                    claims += await _claim_of(work, tickets[ticket_id], limit - len(claims))
        for result in work.results:
            EMAILS.labels(result).inc()
        return claims

    async def _read(self, connection: AsyncConnection, directory: Directory, locked: Sequence[UUID]) -> _Work:
        real_now = await clock_timestamp(connection)
        notices = await store.open_notices(connection, locked)
        return _Work(connection, directory, self._lease, real_now, self._clock.business(real_now), notices)


async def _claim_of(work: _Work, ticket: Sequence[Stored], room: int) -> list[Claim]:
    """Act on every turn of one ticket; at most `room` are claimed, the others keep their place."""
    rows = {row.id: row for row in [await _recovered(work, row) for row in ticket]}
    claims: list[Claim] = []
    for turn in _turns(work, list(rows.values())):
        row = rows[turn.id]
        match turn:
            case Send():
                if len(claims) < room:
                    claims.append(await _claimed(work, row, turn.person, list(rows.values())))
            case Wait():
                await store.change(work.connection, row, ready_at=turn.until)
            case Needless():
                await _ended(work, row, "cancelled", turn.why, turn.person)
            case NobodyFound():
                log.error("nobody_to_mail", ticket_id=str(row.ticket_id), role=row.role)
                await _ended(work, row, "undeliverable", f"nobody holds the role {row.role}", None)
            case _:
                assert_never(turn)
    return claims


def _turns(work: _Work, rows: Sequence[Stored]) -> list[Turn]:
    def holder(role: str, customer_id: str, at: datetime) -> Person | None:
        found = work.directory.holder(role, customer_id, at)
        return Person(found.person, found.name, found.email, found.rule) if found else None

    arrived = [row for row in rows if row.may_have_arrived and row.person is not None]
    return turns(
        [_open(row, row.ready_at, work) for row in rows if row.ready_at is not None],
        holder,
        told={(row.occasion, row.person) for row in arrived if row.person},
        mailed={(row.notification_id, row.person) for row in arrived if row.person},
        business_now=work.now,
        real_now=work.real_now,
    )


def _open(row: Stored, ready_at: datetime, work: _Work) -> Open:
    notice = work.notices[row.notification_id]
    in_flight = row.state in ("claimed", "in_data") and ready_at > work.real_now
    return Open(
        id=row.id,
        occasion=row.occasion,
        role=row.role,
        customer_id=row.customer_id,
        scheduled_at=row.scheduled_at,
        ready_at=ready_at,
        fixed=row.addressee if in_flight or row.ambiguous or isinstance(notice, StandDown) else None,
        in_flight=in_flight,
        ambiguous=row.ambiguous,
        stands_down=frozenset(notice.notifications) if isinstance(notice, StandDown) else frozenset(),
    )


async def _recovered(work: _Work, row: Stored) -> Stored:
    """What an attempt left behind whose process never told how it ended.

    One that was only claimed waits again. In DATA the server may have taken it: it is repeated, and counted.
    """
    if row.ready_at is None or row.ready_at > work.real_now or row.state not in ("claimed", "in_data"):
        return row
    log.warning("lease_expired", ticket_id=str(row.ticket_id), delivery_id=str(row.id), state=row.state)
    if row.state == "claimed":
        return await store.change(work.connection, row, state="queued")
    work.results.append("ambiguous")
    row = await store.change(work.connection, row, ambiguous=True, changed_at=work.now)
    await store.journal_ambiguous(work.connection, row)
    reasons = await store.withdrawal_reasons(work.connection, [row.notification_id])
    if reasons:
        return await _ended(work, row, "cancelled", reasons[row.notification_id], row.addressee)
    row = await store.change(work.connection, row, state="deferred", reply="the server's answer was not noted")
    await store.tell(work.connection, [row])
    return row


async def _claimed(work: _Work, row: Stored, person: Person, ticket: Sequence[Stored]) -> Claim:
    claimed = await store.change(
        work.connection,
        row,
        state="claimed",
        ready_at=work.real_now + work.lease,
        token=row.token + 1,
        attempts=row.attempts + 1,
        changed_at=work.now,
        **_columns(person),
    )
    await store.note(work.connection, claimed)
    notice = work.notices[row.notification_id]
    return Claim(claimed, notice, person, told_before(notice, person.person, ticket))


async def _ended(work: _Work, row: Stored, state: str, why: str, person: Person | None) -> Stored:
    changes = _columns(person) if person else {}
    ended = await store.change(
        work.connection, row, state=state, ready_at=None, changed_at=work.now, reply=why, **changes
    )
    await store.tell(work.connection, [ended])
    work.results.append(state)
    return ended


def _columns(person: Person) -> dict[str, str]:
    return {"person": person.person, "name": person.name, "email": person.email, "rule": person.rule}


def _by_ticket(rows: Sequence[Stored]) -> dict[UUID, list[Stored]]:
    tickets: dict[UUID, list[Stored]] = {}
    for row in rows:
        tickets.setdefault(row.ticket_id, []).append(row)
    return tickets
