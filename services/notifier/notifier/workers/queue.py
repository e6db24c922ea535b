"""Who is mailed next: claims deliveries for this process, choosing each recipient at that moment (RULES 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.directory import Directory
from tocsin.events import Notify, StandDown
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier import metrics, store
from notifier.domain.delivery import Entry, Noted, State, Stored, in_order, mailed_before, told_before
from notifier.domain.delivery_order import Needless, NobodyFound, Open, Person, Send, Turn, Wait, turns
from notifier.domain.fallback import addresses, chain, is_of_group
from notifier.domain.template_context import Told

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that is ours to attempt while its lease is renewed, to whom, and what its mail tells.

    `before`: the Message-IDs of what went there earlier in the ticket's cycle, oldest first. `addresses`: where the
    person can be mailed, in order, with the role's group address. `instead_of`: the address that did not take the mail
    before this one. `of_group`: this one is the role's group address.
    """

    delivery: Stored
    notice: Notify | StandDown
    person: Person
    told: Sequence[Told]
    before: Sequence[str]
    addresses: tuple[str, ...]
    instead_of: str | None
    of_group: bool


class Claims:
    """Claims for one process; any number of replicas may work side by side on one database.

    Everything about a ticket is decided under the lock of its row. A claim is a lease in real time with a fencing
    token, so that who lost it changes nothing any more.
    """

    def __init__(self, engine: AsyncEngine, directory: DirectoryFile, clock: TimeSource, lease: timedelta) -> None:
        self._engine = engine
        self._directory = directory
        self._clock = clock
        self._lease = lease

    async def claim(self, limit: int, severity: int = 4) -> list[Claim]:
        """Up to `limit` deliveries whose turn it is, the most urgent first; nothing while there is no directory.

        Only the turns of tickets that have one of this `severity`, or of a more urgent one, are looked at.
        """
        while (directory := self._directory.current()) is not None:
            claims, looked_at = await self._look(directory, limit, severity)
            if claims or not looked_at:
                return claims  # otherwise all that was looked at ended or waits for another: what comes behind it?
        return []

    async def _look(self, directory: Directory, limit: int, severity: int) -> tuple[list[Claim], int]:
        """Decide on the most urgent tickets: the claims, and how many were looked at."""
        async with self._engine.begin() as connection:
            urgent = await store.lock_urgent(connection, limit, severity)
            tickets, real_now = await store.of_tickets(connection, urgent) if urgent else ({}, None)
            if real_now is None:
                return [], 0
            recovering = _Work(directory, real_now, self._clock.business(real_now), self._lease)
            standing = await _recovered(connection, recovering, tickets)
            work = await _work(connection, recovering, standing)
            claims: list[Claim] = []
            for ticket_id in urgent:
                claims += _claims_of(work, standing[ticket_id], limit - len(claims))
            await store.write(connection, work.changed, work.noted)
        for result in [*recovering.results, *work.results]:
            metrics.EMAILS.labels(result).inc()
        return claims, len(urgent)


@dataclass(frozen=True, slots=True)
class _Work:
    """One claiming transaction: its instants, what it knows, and what it decided."""

    directory: Directory
    real_now: datetime
    now: datetime
    lease: timedelta
    notices: Mapping[UUID, Notify | StandDown] = field(default_factory=dict)
    changed: list[Stored] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    def note(self, row: Stored, entry: Entry) -> None:
        self.noted.append(Noted(row, entry))
        if entry not in ("claimed", "deferred"):
            self.results.append(entry)

    def end(self, row: Stored, state: State, why: str, person: Person | None) -> Stored:
        ended = _for(replace(row, state=state, ready_at=None, changed_at=self.now, reply=why), person)
        self.note(ended, state)
        return ended


async def _recovered(
    connection: AsyncConnection, work: _Work, tickets: Mapping[UUID, Sequence[Stored]]
) -> dict[UUID, Sequence[Stored]]:
    """The tickets once what dead attempts left behind is put right; written before anything is decided on it."""
    left = {row.id: row for rows in tickets.values() for row in rows if _is_left_behind(row, work.real_now)}
    if not left:
        return dict(tickets)
    reasons = await store.withdrawal_reasons(connection, {row.notification_id for row in left.values()})
    for row in left.values():
        log.warning("lease_expired", ticket_id=str(row.ticket_id), delivery_id=str(row.id), state=row.state)
        left[row.id] = _put_right(work, row, reasons.get(row.notification_id))
    await store.write(connection, left.values(), work.noted)
    return {ticket_id: [left.get(row.id, row) for row in rows] for ticket_id, rows in tickets.items()}


def _is_left_behind(row: Stored, real_now: datetime) -> bool:
    return row.state in ("claimed", "in_data") and row.ready_at is not None and row.ready_at <= real_now


def _put_right(work: _Work, row: Stored, withdrawn: str | None) -> Stored:
    """One that was only claimed waits again. In DATA the server may have taken it: it is repeated, and counted."""
    if row.state == "claimed":
        return replace(row, state="queued")
    row = replace(row, ambiguous=True, changed_at=work.now)
    work.note(row, "ambiguous")
    if withdrawn is not None:
        return work.end(row, "cancelled", withdrawn, row.addressee)
    row = replace(row, state="deferred", reply="the server's answer was not noted")
    work.note(row, "deferred")
    return row


async def _work(connection: AsyncConnection, known: _Work, tickets: Mapping[UUID, Sequence[Stored]]) -> _Work:
    """The work with what it takes to decide: what those tell that may be sent now, and whom stand-downs concern."""
    needed = {
        row.notification_id
        for rows in tickets.values()
        for row in rows
        if row.ready_at is not None and (row.ready_at <= known.real_now or row.kind == "stand_down")
    }
    notices = await store.open_notices(connection, needed) if needed else {}
    return _Work(known.directory, known.real_now, known.now, known.lease, notices)


def _claims_of(work: _Work, ticket: Sequence[Stored], room: int) -> list[Claim]:
    """Act on every turn of one ticket; at most `room` are claimed, the others keep their place."""
    rows = {row.id: row for row in ticket}
    claims: list[Claim] = []
    for turn in _turns(work, ticket):
        row = rows[turn.id]
        match turn:
            case Send() if row.notification_id not in work.notices:
                log.error("notice_damaged", ticket_id=str(row.ticket_id), delivery_id=str(row.id))
                work.changed.append(work.end(row, "undeliverable", "what it tells cannot be read", turn.person))
            case Send():
                if len(claims) < room:
                    claims.append(_claimed(work, row, turn.person, ticket))
            case Wait():
                work.changed.append(replace(row, ready_at=turn.until))
            case Needless():
                work.changed.append(work.end(row, "cancelled", turn.why, turn.person))
            case NobodyFound():
                log.error("nobody_to_mail", ticket_id=str(row.ticket_id), role=row.role)
                work.changed.append(work.end(row, "undeliverable", f"nobody holds the role {row.role}", None))
            case _:
                assert_never(turn)
    return claims


def _turns(work: _Work, rows: Sequence[Stored]) -> list[Turn]:
    def holder(role: str, customer_id: str, at: datetime) -> Person | None:
        found = work.directory.holder(role, customer_id, at)
        return Person(found.person, found.name, found.email, found.rule) if found else None

    arrived = [row for row in rows if row.may_have_arrived]
    return turns(
        [_open(row, row.ready_at, work, rows) for row in in_order(rows) if row.ready_at is not None],
        holder,
        told={(row.occasion, row.person) for row in arrived if row.person},
        mailed={(row.notification_id, row.person) for row in arrived if row.person},
        business_now=work.now,
        real_now=work.real_now,
    )


def _open(row: Stored, ready_at: datetime, work: _Work, ticket: Sequence[Stored]) -> Open:
    notice = work.notices.get(row.notification_id)
    in_flight = row.state in ("claimed", "in_data")
    ambiguous = any(past.ambiguous for past in chain(row, ticket))
    settled = in_flight or row.ambiguous or row.kind == "stand_down" or row.redelivery or row.fallback
    return Open(
        id=row.id,
        occasion=row.occasion,
        role=row.role,
        customer_id=row.customer_id,
        scheduled_at=row.scheduled_at,
        ready_at=ready_at,
        fixed=row.addressee if settled else None,
        in_flight=in_flight,
        tried=row.attempts > (1 if in_flight else 0) or row.fallback > 0,
        ambiguous=ambiguous,
        stands_down=frozenset(notice.notifications) if isinstance(notice, StandDown) else frozenset(),
    )


def _claimed(work: _Work, row: Stored, person: Person, ticket: Sequence[Stored]) -> Claim:
    claimed = _for(
        replace(
            row,
            state="claimed",
            ready_at=work.real_now + work.lease,
            token=row.token + 1,
            attempts=row.attempts + 1,
            changed_at=work.now,
        ),
        person,
    )
    notice = work.notices[row.notification_id]
    if row.kind != "stand_down" and not row.redelivery and not row.fallback:
        due = work.directory.holder(row.role, row.customer_id, row.scheduled_at)
        scheduled = due.person if due else row.scheduled_person
        claimed = replace(claimed, scheduled_person=scheduled if scheduled != person.person else None)
    work.changed.append(claimed)
    work.note(claimed, "claimed")
    before = [past.email for past in chain(row, ticket) if past.fallback < row.fallback]
    return Claim(
        claimed,
        notice,
        person,
        told_before(notice, person.person, ticket),
        mailed_before(row, person, ticket),
        addresses(work.directory, claimed),
        before[-1] if before else None,
        is_of_group(work.directory, claimed),
    )


def _for(row: Stored, person: Person | None) -> Stored:
    if person is None:
        return row
    return replace(row, person=person.person, name=person.name, email=person.email, rule=person.rule)
