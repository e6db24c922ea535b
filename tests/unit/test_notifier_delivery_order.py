"""Which open deliveries of a ticket may be attempted now, to whom, and which end or wait."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.delivery import Delivery, DeliveryState, Notification, Now
from notifier.domain.delivery_order import claim, decide, recover
from notifier.domain.new_delivery import delivery_for
from support.notifier_events import NOON, escalation, stand_down
from tocsin.directory import load_directory

MINUTE = timedelta(minutes=1)
NOW = Now(NOON + MINUTE, NOON + MINUTE)
LEASE = timedelta(seconds=15)
SENT: dict[str, Any] = {"state": DeliveryState.SENT, "ready_at": None}
DIRECTORY = load_directory(
    """
people:
  dana: { name: Dana, email: dana@example.com }
  kim: { name: Kim, email: kim@example.com }
roles:
  lead: [{ person: dana }]
  manager: [{ person: kim }]
  left: [{ person: kim, to: 2026-06-08T12:01:00Z }]
own_roles: [lead, manager, left, vacant]
""",
    "directory.yaml",
)
DANA: dict[str, Any] = {"person": "dana", "name": "Dana", "email": "dana@example.com", "rule": "default"}


def delivery(number: int, role: str = "lead", **fields: Any) -> Delivery:
    """The delivery of the nth step, queued at noon."""
    notify = escalation(event_id=UUID(int=number), step=number, role=role, at=NOON)
    return replace(delivery_for(notify, Now(NOON, NOON)), id=UUID(int=number), seq=number, **fields)


def changes(
    *ticket: Delivery, notifications: Mapping[UUID, Notification] | None = None, limit: int = 10
) -> dict[int, Delivery]:
    """The deliveries that change now, by number."""
    known = {row.notification_id: escalation() for row in ticket} if notifications is None else notifications
    decided = decide(ticket, known, DIRECTORY, NOW, lease=LEASE, limit=limit)
    claims = [claim(ready, DIRECTORY, NOW) for ready in decided.ready]
    return {changed.seq: changed for changed in sorted((*claims, *decided.changed), key=lambda row: row.seq)}


def claimed(*ticket: Delivery) -> dict[int, str | None]:
    """Whom the deliveries that are claimed now go to, by number."""
    return {number: row.person for number, row in changes(*ticket).items() if row.state == DeliveryState.CLAIMED}


def waiting(*ticket: Delivery) -> dict[int, Any]:
    """Until when the deliveries that must wait do so, by number."""
    return {number: row.ready_at for number, row in changes(*ticket).items() if row.state == DeliveryState.QUEUED}


def in_flight(number: int, until: Any, **fields: Any) -> Delivery:
    own = {"state": DeliveryState.CLAIMED, "ready_at": until, "attempts": 1}
    return delivery(number, **DANA | own | fields)


def test_a_claim_is_a_lease_for_the_holder_of_the_role() -> None:
    row = changes(delivery(1))[1]
    assert (row.state, row.ready_at, row.token, row.attempts) == ("claimed", NOW.real + LEASE, 1, 1)
    assert (row.person, row.email, row.rule, row.scheduled_person) == ("dana", "dana@example.com", "default", None)


@pytest.mark.rule("5.25")
def test_first_attempts_leave_in_the_order_of_events() -> None:
    assert claimed(delivery(1), delivery(2), delivery(3, "manager")) == {1: "dana"}
    assert waiting(in_flight(1, NOON + 2 * MINUTE), delivery(3, "manager")) == {3: NOW.real + timedelta(seconds=1)}


@pytest.mark.rule("5.25")
def test_a_retry_delays_no_other_person() -> None:
    later = NOON + 5 * MINUTE
    retried = delivery(1, ready_at=later, attempts=1, state=DeliveryState.DEFERRED)
    assert claimed(retried, delivery(3, "manager")) == {3: "kim"}
    assert waiting(retried, delivery(2), delivery(3, "manager")) == {2: later}
    assert claimed(retried, delivery(2), delivery(3, "manager")) == {3: "kim"}
    assert claimed(in_flight(1, later, attempts=2), delivery(3, "manager")) == {3: "kim"}


def test_a_later_mail_to_the_same_person_waits_for_the_retry() -> None:
    later = NOON + 5 * MINUTE
    assert waiting(delivery(1, ready_at=later), delivery(2)) == {2: later}


def test_nothing_overtakes_an_attempt_in_flight() -> None:
    """It is looked at again when the attempt ends, and after a second at the latest."""
    assert waiting(in_flight(1, NOON + 2 * MINUTE), delivery(2)) == {2: NOW.real + timedelta(seconds=1)}


def test_a_claim_takes_at_most_the_limit() -> None:
    tried = [delivery(number, role, attempts=1) for number, role in ((1, "lead"), (2, "manager"))]
    assert list(changes(*tried, limit=2)) == [1, 2]
    assert list(changes(*tried, limit=1)) == [1]


@pytest.mark.rule("5.21")
def test_a_vacant_role_goes_to_its_holder_at_the_scheduled_instant() -> None:
    assert claimed(delivery(1, "left")) == {1: "kim"}


def test_without_any_holder_the_mail_is_undeliverable() -> None:
    row = changes(delivery(1, "vacant"))[1]
    assert (row.state, row.ready_at, row.reply) == ("undeliverable", None, "nobody holds the role vacant")


@pytest.mark.rule("5.23")
def test_two_roles_of_one_person_are_one_mail() -> None:
    sent = delivery(1, **SENT, **DANA)
    again = delivery(2, occasion=sent.occasion)
    row = changes(sent, again)[2]
    assert (row.state, row.person, row.reply) == ("cancelled", "dana", "already notified")


@pytest.mark.rule("5.23")
def test_an_ambiguous_mail_is_repeated_although_it_may_have_arrived() -> None:
    assert claimed(delivery(1, **DANA, ambiguous=True)) == {1: "dana"}


@pytest.mark.rule("5.24")
def test_only_people_who_were_mailed_are_stood_down() -> None:
    end = delivery(3, **DANA, kind="stand_down")
    event = stand_down(notifications=(UUID(int=1),))
    known = {end.notification_id: event}
    assert changes(delivery(1, **SENT, **DANA), end, notifications=known)[3].state == "claimed"
    row = changes(end, notifications=known)[3]
    assert (row.state, row.reply) == ("cancelled", "was never notified")


def test_a_notification_that_cannot_be_read_ends_its_delivery_only() -> None:
    rows = changes(delivery(1, attempts=1), delivery(2, "manager"), notifications={UUID(int=2): escalation()})
    assert [(row.state, row.reply) for row in rows.values()] == [
        ("undeliverable", "the stored notification cannot be read"),
        ("claimed", None),
    ]


def about_response(number: int, role: str = "lead", **fields: Any) -> Delivery:
    """A mail about the response clock, of severity 3 as those that may join a digest."""
    own = {"kind": "warning", "severity": 3, "occasion": f"warning/{number}"}
    return delivery(number, role, **own | fields)


def held(number: int, until: Any = NOON + 2 * MINUTE, **fields: Any) -> Delivery:
    return about_response(number, state=DeliveryState.HELD, ready_at=until, **DANA | fields)


def ready(*ticket: Delivery, items: Collection[int] = ()) -> list[int]:
    """The deliveries that may be attempted now or held for a digest, by number. `items` leave in a digest now."""
    known = {row.notification_id: escalation() for row in ticket}
    due = {UUID(int=number) for number in items}
    return [row.seq for row in decide(ticket, known, DIRECTORY, NOW, lease=LEASE, limit=1, items=due).ready]


@pytest.mark.rule("5.31")
def test_a_held_mail_stays_until_its_digest_leaves() -> None:
    assert ready(held(1)) == ready(held(1, until=NOON)) == []
    assert ready(held(1), held(2), items={1, 2}) == [1, 2]


@pytest.mark.rule("5.21", "5.31")
def test_a_held_mail_whose_role_changed_hands_is_decided_anew() -> None:
    assert ready(held(1, until=NOON, email="gone@example.com")) == [1]


@pytest.mark.rule("5.25", "5.31")
def test_a_later_mail_to_the_same_person_may_join_the_held_one() -> None:
    assert ready(held(1), about_response(2)) == [2]
    assert ready(held(1), about_response(2), items={1}) == [1, 2]
    same = about_response(2, occasion="warning/1")
    assert ready(held(1), same) == []
    assert waiting(held(1), same) == {2: NOON + 2 * MINUTE}


@pytest.mark.rule("5.25", "5.31")
def test_other_mails_wait_for_a_held_one() -> None:
    """Escalations are never held, and the first attempts of a ticket leave in order, whoever gets them."""
    until = NOON + 2 * MINUTE
    assert waiting(held(1), delivery(2)) == {2: until}
    assert waiting(held(1), about_response(2, "manager")) == {2: until}
    fallback = {"fallback_number": 1, "fallback_of": UUID(int=1), "email": "dana@home.example"}
    assert waiting(held(1, **fallback), about_response(2)) == {2: until}


@pytest.mark.rule("5.25", "5.31")
def test_a_held_mail_that_must_wait_leaves_its_digest() -> None:
    retried = delivery(1, ready_at=NOON + 5 * MINUTE, attempts=1, state=DeliveryState.DEFERRED)
    row = changes(retried, held(2))[2]
    assert (row.state, row.ready_at) == ("queued", NOON + 5 * MINUTE)


@pytest.mark.rule("5.23", "5.31")
def test_a_mail_of_an_ambiguous_digest_leaves_only_with_that_digest() -> None:
    repeated = about_response(1, **DANA, ambiguous=True, digest_id=UUID(int=9))
    later = about_response(2, **DANA, ambiguous=True, digest_id=UUID(int=9))
    assert ready(repeated, later) == []
    assert ready(repeated, later, items={1, 2}) == [1, 2]
    assert ready(repeated, about_response(2), items={1}) == [1]


def test_an_attempt_whose_worker_died_before_data_is_queued_again() -> None:
    recovered = recover(in_flight(1, NOON), None, NOW)
    assert (recovered.state, recovered.attempts) == ("queued", 0)
    assert claimed(recovered, delivery(2, "manager")) == {1: "dana"}, "it is still the first attempt"


def test_an_attempt_whose_worker_died_in_data_is_ambiguous() -> None:
    interrupted = in_flight(1, NOON, state=DeliveryState.IN_DATA)
    repeated, ended = recover(interrupted, None, NOW), recover(interrupted, "resolved", NOW)
    assert (repeated.state, repeated.ambiguous) == ("deferred", True)
    assert (ended.state, ended.ambiguous, ended.ready_at, ended.reply) == ("cancelled", True, None, "resolved")


@pytest.mark.rule("5.25")
@given(
    st.lists(st.tuples(st.sampled_from(["lead", "manager", "vacant"]), st.integers(-5, 5), st.booleans()), max_size=8)
)
def test_never_two_at_once_to_a_person_nor_out_of_order(drawn: list[tuple[str, int, bool]]) -> None:
    """Nobody who is mailed has an earlier open mail, or gets two at once."""
    people = {"lead": "dana", "manager": "kim", "vacant": None}
    ticket = []
    for number, (role, minutes, wanted) in enumerate(drawn, 1):
        flying = wanted and minutes > 1 and role != "vacant"
        own = {"state": DeliveryState.CLAIMED, "attempts": 1, "person": people[role], "email": "x"} if flying else {}
        ticket.append(delivery(number, role, ready_at=NOON + minutes * MINUTE, **own))
    sends = claimed(*ticket)
    for number, person in sends.items():
        assert person not in {people[row.role] for row in ticket if row.seq < number}
        ready_at = ticket[number - 1].ready_at
        assert ready_at is not None
        assert ready_at <= NOW.real
    assert len(set(sends.values())) == len(sends)
