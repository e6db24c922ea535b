"""Which mails are joined into a digest, and when it leaves (docs/rules.md#5-31, docs/decisions/0029). Pure.

A mail that may join a digest leaves as a single mail while its address got few of them in the last minute. Further ones
are held, and leave together.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from tocsin.events import MailKind, derived_id

from notifier.domain.delivery import Delivery, DeliveryState, Now
from notifier.domain.mail_history import in_order

KINDS: Final[tuple[MailKind, ...]] = ("warning", "response_missed", "answer_missed")
MOST_URGENT: Final = 3
"""Mails of severities 1 and 2 never join a digest."""
PERIOD: Final = timedelta(minutes=1)
"""Real time over which an address's single mails are counted."""
MAX_ITEMS: Final = 100
"""A page of this many items stays below the size at which Gmail cuts it off."""
_HOLD: Final = timedelta(seconds=30)
_POSTPONED: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class AddressLoad:
    """What an address gets now. `singles`: its single mails of the last minute and those in flight.

    `leaves_at`: the real instant at which the mails that are held for it leave; None if none is held.
    """

    singles: int = 0
    leaves_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DueDigests:
    """The digests that leave now: of the mails held for `addresses`, and repetitions of `repeated`."""

    addresses: Collection[str] = ()
    repeated: Collection[UUID] = ()

    def __bool__(self) -> bool:
        return bool(self.addresses or self.repeated)

    def items(self, deliveries: Iterable[Delivery]) -> set[UUID]:
        """The ids of those of the deliveries that leave in one of these digests."""
        return {delivery.id for delivery in deliveries if self._has(delivery)}

    def _has(self, delivery: Delivery) -> bool:
        if delivery.ready_at is None or delivery.is_in_flight:
            return False
        if delivery.repeats_digest:
            return delivery.digest_id in self.repeated
        return delivery.state == DeliveryState.HELD and address_of(delivery) in self.addresses


@dataclass(frozen=True, slots=True)
class Allotment:
    """Deliveries that were ready: `mails` are attempted now, one mail each; `waiting` are held or postponed."""

    mails: Sequence[Sequence[Delivery]]
    waiting: Sequence[Delivery]


def address_of(delivery: Delivery) -> str:
    """Its address, as single mails are counted by."""
    return (delivery.email or "").lower()


def may_join(delivery: Delivery) -> bool:
    """Whether it may leave in a digest. A mail that may have arrived is repeated as it was."""
    return (
        delivery.kind in KINDS
        and delivery.severity >= MOST_URGENT
        and not delivery.redelivery_number
        and not delivery.ambiguous
    )


def due_digests(tickets: Iterable[Sequence[Delivery]], now: Now) -> DueDigests:
    """The digests of these tickets' deliveries that leave now."""
    addresses: set[str] = set()
    repeated: set[UUID] = set()
    for ticket in tickets:
        followed = find_followed(ticket)
        for delivery in ticket:
            if delivery.ready_at is None or delivery.is_in_flight:
                continue
            is_due = delivery.ready_at <= now.real
            if delivery.state == DeliveryState.HELD and (is_due or delivery.id in followed):
                addresses.add(address_of(delivery))
            if delivery.repeats_digest and delivery.digest_id and is_due:
                repeated.add(delivery.digest_id)
    return DueDigests(addresses, repeated)


def find_followed(ticket: Sequence[Delivery]) -> set[UUID]:
    """The ids of the ticket's open deliveries that an open one follows which never joins a digest.

    They are not held, because the mails of a ticket leave in order (docs/rules.md#5-25).
    """
    places = [delivery for delivery in in_order(ticket) if delivery.ready_at is not None]
    last = max((place for place, delivery in enumerate(places) if not may_join(delivery)), default=0)
    return {delivery.id for delivery in places[:last]}


def allot(
    ready: Sequence[Delivery],
    due: DueDigests,
    followed: Collection[UUID],
    loads: Mapping[str, AddressLoad],
    sizes: Mapping[UUID | None, int],
    allowance: Callable[[str], int],
    now: Now,
) -> Allotment:
    """Divide deliveries that are ready, the most urgent first, into mails.

    `followed`: see `find_followed`. `loads`: by address, of all that may join a digest. `sizes`: how many open
    deliveries each repeated digest has; it is repeated only with all of them. `allowance`: how many single mails a
    minute the terms of a customer allow.
    """
    mails: list[Sequence[Delivery]] = []
    waiting: list[Delivery] = []
    repeated: dict[UUID | None, list[Delivery]] = {}
    joined: dict[tuple[str, str | None, str], list[Delivery]] = {}
    singles = Counter({address: load.singles for address, load in loads.items()})

    def is_allowed(delivery: Delivery) -> bool:
        return singles[address_of(delivery)] < allowance(delivery.customer_id)

    def add_single(delivery: Delivery) -> None:
        singles[address_of(delivery)] += 1
        mails.append([replace(delivery, digest_id=None)])

    for delivery in ready:
        address = address_of(delivery)
        leaves_at = now.real if address in due.addresses else loads.get(address, AddressLoad()).leaves_at
        if delivery.repeats_digest:
            repeated.setdefault(delivery.digest_id, []).append(delivery)
        elif not may_join(delivery) or (leaves_at is None and is_allowed(delivery)):
            add_single(delivery)
        elif leaves_at == now.real or delivery.id in followed:
            joined.setdefault((delivery.tenant, delivery.person, address), []).append(delivery)
        else:
            waiting.append(_held(delivery, leaves_at or now.real + _HOLD, now))
    for items in joined.values():
        if len(items) == 1 and is_allowed(items[0]):
            add_single(items[0])
        else:
            mails += _digests(items)
    for digest_id, items in repeated.items():
        if len(items) == sizes.get(digest_id):
            mails.append(items)
        else:
            waiting += [replace(item, ready_at=now.real + _POSTPONED) for item in items]
    return Allotment(mails, waiting)


def _held(delivery: Delivery, until: datetime, now: Now) -> Delivery:
    return replace(
        delivery, state=DeliveryState.HELD, ready_at=until, changed_at=now.business, digest_id=None, message_id=None
    )


def _digests(items: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """The items as new digests, each with its own id. Items of one ticket leave together, in their order."""
    part: list[Delivery] = []
    for _, of_ticket in groupby(items, key=lambda item: item.ticket_id):
        together = list(of_ticket)
        if len(part) + len(together) > MAX_ITEMS:
            yield _digest(part)
            part = []
        part += together
    yield _digest(part)


def _digest(items: Sequence[Delivery]) -> Sequence[Delivery]:
    first = items[0]
    digest_id = derived_id(first.ticket_id, "digest", delivery=first.id, attempt=first.token + 1)
    return [replace(item, digest_id=digest_id) for item in items]
