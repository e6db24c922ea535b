"""Which mails are joined into a digest, which are held for one, and when it leaves."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.delivery import Delivery, DeliveryState, Now
from notifier.domain.digest import (
    MAX_ITEMS,
    AddressLoad,
    Allotment,
    DueDigests,
    address_of,
    allot,
    due_digests,
    find_followed,
    may_join,
)
from notifier.domain.new_delivery import delivery_for
from support.notifier_events import NOON, about_clock, escalation, ticket

pytestmark = pytest.mark.rule("5.31")

SECOND = timedelta(seconds=1)
NOW = Now(NOON, NOON)
DANA: dict[str, Any] = {"person": "dana", "email": "Dana@example.com"}
ADDRESS = "dana@example.com"
NO_DIGEST = DueDigests()
NO_LOAD = AddressLoad()
REPEATED: dict[str, Any] = {"ambiguous": True, "digest_id": UUID(int=900), "state": DeliveryState.DEFERRED}


def warning(number: int, **fields: Any) -> Delivery:
    """A warning of severity 3 about ticket `number` for Dana, unless the fields say otherwise."""
    notify = about_clock("warning", ticket=ticket(ticket_id=UUID(int=number)), event_id=UUID(int=number), severity=3)
    return replace(delivery_for(notify, NOW), id=UUID(int=number), seq=number, **DANA | fields)


def divide(
    *ready: Delivery,
    due: DueDigests = NO_DIGEST,
    followed: frozenset[UUID] = frozenset(),
    load: AddressLoad = NO_LOAD,
    size: int = 0,
    allowance: int = 2,
) -> Allotment:
    loads = {address_of(delivery): load for delivery in ready}
    return allot(ready, due, followed, loads, {UUID(int=900): size}, lambda _: allowance, NOW)


def numbers(allotment: Allotment) -> tuple[list[list[int]], list[int]]:
    """The deliveries of each mail, and those that wait, by number."""
    return [[row.seq for row in mail] for mail in allotment.mails], [row.seq for row in allotment.waiting]


@pytest.mark.parametrize(
    ("changed", "joins"),
    [
        ({}, True),
        ({"severity": 4}, True),
        ({"kind": "response_missed"}, True),
        ({"kind": "answer_missed"}, True),
        ({"fallback_number": 1}, True),
        ({"severity": 1}, False),
        ({"severity": 2}, False),
        *(({"kind": kind}, False) for kind in ("escalation", "stand_down", "exhausted", "escalation_request")),
        ({"kind": "rerouted"}, False),
        ({"redelivery_number": 1}, False),
        ({"ambiguous": True}, False),
    ],
)
def test_only_mails_about_clocks_of_severity_3_and_4_join(changed: dict[str, Any], joins: bool) -> None:
    assert may_join(warning(1, **changed)) is joins


def test_the_first_ones_leave_alone_and_further_ones_are_held_together() -> None:
    divided = divide(*map(warning, range(1, 6)))
    assert numbers(divided) == ([[1], [2]], [3, 4, 5])
    assert {(row.state, row.ready_at) for row in divided.waiting} == {("held", NOON + 30 * SECOND)}


def test_single_mails_of_the_last_minute_count() -> None:
    assert numbers(divide(warning(1), warning(2), load=AddressLoad(singles=1))) == ([[1]], [2])


def test_a_mail_that_comes_while_others_are_held_leaves_with_them() -> None:
    load = AddressLoad(singles=0, leaves_at=NOON + 7 * SECOND)
    [held] = divide(warning(1), load=load).waiting
    assert (held.state, held.ready_at) == ("held", NOON + 7 * SECOND)


def test_other_mails_are_never_held() -> None:
    urgent = [warning(1, severity=1), warning(2, kind="escalation"), warning(3, kind="stand_down")]
    assert numbers(divide(*urgent, load=AddressLoad(9, NOON + SECOND))) == ([[1], [2], [3]], [])


def test_due_mails_leave_in_one_digest_with_its_own_id() -> None:
    held = [warning(number, state=DeliveryState.HELD) for number in (1, 2, 3)]
    divided = divide(*held, warning(4), due=DueDigests({ADDRESS}), load=AddressLoad(2, NOON))
    assert numbers(divided) == ([[1, 2, 3, 4]], [])
    assert len({row.digest_id for row in divided.mails[0]}) == 1
    again = divide(*(replace(row, token=1) for row in held), due=DueDigests({ADDRESS}))
    assert again.mails[0][0].digest_id != divided.mails[0][0].digest_id


def test_people_of_several_tenants_or_at_one_address_get_their_own_digests() -> None:
    mixed = [warning(1), warning(2, tenant="other"), warning(3, person="kim"), warning(4)]
    assert numbers(divide(*mixed, due=DueDigests({ADDRESS}), allowance=0))[0] == [[1, 4], [2], [3]]


def test_a_lone_mail_leaves_alone_if_there_is_room() -> None:
    held = warning(1, state=DeliveryState.HELD, digest_id=UUID(int=5))
    due = DueDigests({ADDRESS})
    assert divide(held, due=due).mails[0][0].digest_id is None
    assert divide(held, due=due, load=AddressLoad(2)).mails[0][0].digest_id is not None


def test_a_large_digest_is_split_between_tickets() -> None:
    of_one_ticket = [replace(warning(n), ticket_id=UUID(int=1)) for n in (1, 2)]
    items = [*map(warning, range(3, MAX_ITEMS + 2)), *of_one_ticket]
    divided = divide(*items, due=DueDigests({ADDRESS}))
    assert [len(mail) for mail in divided.mails] == [MAX_ITEMS - 1, 2]
    assert len({mail[0].digest_id for mail in divided.mails}) == 2


def test_a_repeated_digest_needs_all_its_mails() -> None:
    items = [warning(1, **REPEATED), warning(2, **REPEATED)]
    whole = divide(*items, size=2)
    assert numbers(whole) == ([[1, 2]], [])
    assert {row.digest_id for row in whole.mails[0]} == {UUID(int=900)}
    assert numbers(divide(*items, size=3)) == ([], [1, 2])


def test_each_customer_has_their_terms() -> None:
    loads = {ADDRESS: AddressLoad(singles=3)}
    mails = [warning(1, customer_id="acme"), warning(2, customer_id="globex")]
    divided = allot(mails, NO_DIGEST, frozenset(), loads, {}, {"acme": 2, "globex": 9}.__getitem__, NOW)
    assert numbers(divided) == ([[2]], [1])


def test_a_mail_before_a_more_urgent_one_of_its_ticket_is_not_held() -> None:
    step = replace(delivery_for(escalation(), NOW), seq=3, id=UUID(int=3))
    rows = [warning(1), warning(2), step]
    assert find_followed(rows) == {UUID(int=1), UUID(int=2)}
    assert find_followed([replace(rows[0], ready_at=None), rows[1]]) == set()
    assert find_followed([step, *rows[:2]]) == {UUID(int=1), UUID(int=2)}
    assert numbers(divide(*rows[:2], followed=frozenset({UUID(int=2)}), allowance=0)) == ([[2]], [1])


def test_held_mails_are_due_at_their_instant_or_when_an_urgent_one_follows() -> None:
    later = NOON + SECOND
    held = warning(1, state=DeliveryState.HELD, ready_at=later)
    step = replace(delivery_for(escalation(), NOW), seq=3, id=UUID(int=3))
    assert not due_digests([[held]], NOW)
    assert due_digests([[held, step]], NOW).addresses == {ADDRESS}
    assert due_digests([[held]], Now(later, later)).addresses == {ADDRESS}


def test_a_repeated_digest_is_due_when_one_of_its_mails_is() -> None:
    waiting = warning(1, **REPEATED | {"ready_at": NOON + SECOND})
    assert not due_digests([[waiting]], NOW)
    due = due_digests([[waiting], [warning(2, **REPEATED)]], NOW)
    assert due.repeated == {UUID(int=900)}
    assert due.items([waiting, warning(3), warning(4, state=DeliveryState.HELD)]) == {UUID(int=1)}
    in_flight = warning(1, **REPEATED | {"state": DeliveryState.IN_DATA})
    assert not due_digests([[in_flight]], NOW)


DELIVERIES = st.builds(
    lambda number, severity, kind, who: warning(number, severity=severity, kind=kind, person=who, email=f"{who}@x.org"),
    st.integers(1, 10_000),
    st.integers(1, 4),
    st.sampled_from(["warning", "response_missed", "escalation"]),
    st.sampled_from(["dana", "kim"]),
)


@given(
    st.lists(DELIVERIES, max_size=40, unique_by=lambda row: row.id),
    st.integers(1, 6),
    st.integers(0, 8),
    st.sets(st.sampled_from(["dana@x.org", "kim@x.org"])),
)
def test_every_mail_leaves_once_or_waits_and_nobody_gets_too_many(
    ready: list[Delivery], allowance: int, singles: int, leaving: set[str]
) -> None:
    divided = divide(*ready, due=DueDigests(leaving), load=AddressLoad(singles), allowance=allowance)
    sent = [row for mail in divided.mails for row in mail]
    assert sorted(row.id for row in (*sent, *divided.waiting)) == sorted(row.id for row in ready)
    assert all(may_join(row) for row in divided.waiting)
    alone = Counter(address_of(mail[0]) for mail in divided.mails if not mail[0].in_digest and may_join(mail[0]))
    assert all(singles + count <= allowance for count in alone.values())
    for mail in divided.mails:
        assert len({(row.person, row.digest_id) for row in mail}) == 1
        assert len(mail) == 1 or mail[0].in_digest
