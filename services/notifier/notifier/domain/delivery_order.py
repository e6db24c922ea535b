"""Whose turn it is among a ticket's open deliveries. Pure.

Mails of one ticket to one person leave in the order of events: a delivery waits behind every earlier open one to the
same person. Between persons it waits for earlier first attempts alone: what was missed is told in order, yet nobody
waits for somebody else's retries. Who the person is is decided here, at sending (RULES 5).
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Person:
    """Who is mailed, and the rule of the directory that chose them."""

    person: str
    name: str
    email: str
    rule: str


@dataclass(frozen=True, slots=True)
class Open:
    """One open delivery. `occasion` is what it tells of (a step, a clock's breach): a person is told of it once.

    `fixed`: its person is settled (a stand-down, or a mail that an ambiguous attempt may have delivered).
    `ready_at`: real; when it may be tried next, or when the lease of the attempt in flight ends.
    `tried`: its first attempt is over.
    `stands_down`: the notifications a stand-down takes back; empty for every other kind.
    """

    id: UUID
    occasion: str
    role: str
    customer_id: str
    scheduled_at: datetime
    ready_at: datetime
    fixed: Person | None = None
    in_flight: bool = False
    tried: bool = False
    ambiguous: bool = False
    stands_down: AbstractSet[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Send:
    id: UUID
    person: Person


@dataclass(frozen=True, slots=True)
class Needless:
    """It ends `cancelled`, `why` in words."""

    id: UUID
    person: Person
    why: str


@dataclass(frozen=True, slots=True)
class NobodyFound:
    """It ends `undeliverable`: nobody holds the role now, nobody held it at the scheduled instant."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Wait:
    """Not before `until` (real time): an earlier one has to leave first."""

    id: UUID
    until: datetime


Turn = Send | Needless | NobodyFound | Wait
Holder = Callable[[str, str, datetime], Person | None]


def turns(
    deliveries: Sequence[Open],
    holder: Holder,
    told: AbstractSet[tuple[str, str]],
    mailed: AbstractSet[tuple[UUID, str]],
    *,
    business_now: datetime,
    real_now: datetime,
) -> list[Turn]:
    """What to do now with the open deliveries of one ticket, given in the order of events; nothing for those in flight.

    `holder(role, customer, at)` asks the directory. `told` are (occasion, person), `mailed` (notification, person) of
    what was sent or may have been.
    """
    decided: list[Turn] = []
    busy: dict[str, datetime] = {}
    untried: datetime | None = None
    for delivery in deliveries:
        who = delivery.fixed or _chosen(delivery, holder, business_now)
        if who is None:
            decided.append(NobodyFound(delivery.id))
            continue
        if not delivery.in_flight:
            turn = _turn(delivery, who, _later(busy.get(who.person), untried), told, mailed, real_now)
            if turn is not None:
                decided.append(turn)
            if isinstance(turn, Needless):
                continue
        if not delivery.tried and who.person not in busy:
            untried = _later(untried, delivery.ready_at)
        busy[who.person] = max(delivery.ready_at, busy.get(who.person, delivery.ready_at))
    return decided


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)


def _chosen(delivery: Open, holder: Holder, business_now: datetime) -> Person | None:
    return holder(delivery.role, delivery.customer_id, business_now) or holder(
        delivery.role, delivery.customer_id, delivery.scheduled_at
    )


def _turn(
    delivery: Open,
    who: Person,
    busy_until: datetime | None,
    told: AbstractSet[tuple[str, str]],
    mailed: AbstractSet[tuple[UUID, str]],
    real_now: datetime,
) -> Turn | None:
    """The turn of a delivery that is not in flight; None: its own time to be tried again has not come."""
    if busy_until is not None:
        return Wait(delivery.id, busy_until) if busy_until > delivery.ready_at else None
    if delivery.stands_down:
        if not any((notification, who.person) in mailed for notification in delivery.stands_down):
            return Needless(delivery.id, who, "never mailed about it")
    elif not delivery.ambiguous and (delivery.occasion, who.person) in told:
        return Needless(delivery.id, who, "told already")
    return Send(delivery.id, who) if delivery.ready_at <= real_now else None
