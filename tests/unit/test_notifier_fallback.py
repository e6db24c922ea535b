"""Where a mail goes that an address did not take."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.delivery import Stored, told_before
from notifier.domain.fallback import addresses, chain, follow_up
from support.notifier_events import TIERS, escalation
from tocsin.directory import load_directory

NOON = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
DIRECTORY = load_directory(
    """
people:
  dana: { name: Dana, email: dana@example.com, fallbacks: [dana@home.example, dana@other.example] }
  kim: { name: Kim, email: kim@example.com }
roles:
  service_desk_team_lead: [{ person: dana }]
group_addresses:
  - { role: service_desk_team_lead, email: desk@example.com }
  - { role: service_desk_team_lead, customer: acme, email: desk-acme@example.com }
""",
    "directory.yaml",
)
FIRST = Stored(
    seq=1,
    id=UUID(int=1),
    notification_id=UUID(int=2),
    tenant="default",
    ticket_id=UUID(int=7),
    customer_id="acme",
    kind="escalation",
    cycle=1,
    run=1,
    step=1,
    tier=1,
    severity=1,
    occasion="escalation/1/1/1",
    role="service_desk_team_lead",
    role_title="Service Desk Team Lead",
    scheduled_at=NOON,
    state="refused",
    ready_at=None,
    created_at=NOON,
    queued_at=NOON,
    changed_at=NOON,
    person="dana",
    name="Dana",
    email="dana@example.com",
    rule="default",
    reply="550 no such user",
)


def test_a_persons_own_addresses_come_before_the_groups_and_the_customers_group_before_the_general() -> None:
    own = ("dana@example.com", "dana@home.example", "dana@other.example")
    assert addresses(DIRECTORY, FIRST) == (*own, "desk-acme@example.com")
    assert addresses(DIRECTORY, replace(FIRST, customer_id="globex")) == (*own, "desk@example.com")


def test_a_stand_down_goes_to_nobody_who_was_not_mailed() -> None:
    own = ("dana@example.com", "dana@home.example", "dana@other.example")
    stand_down = replace(FIRST, kind="stand_down")
    assert addresses(DIRECTORY, stand_down) == own
    assert addresses(DIRECTORY, replace(stand_down, email="desk-acme@example.com")) == ()
    beside = replace(stand_down, seq=2, id=UUID(int=3), email="dana@home.example", state="sent")
    following = follow_up(stand_down, [stand_down, beside], own, business_now=NOON, real_now=NOON)
    assert (following["email"], following["state"]) == ("dana@other.example", "queued")
    assert addresses(DIRECTORY, replace(FIRST, person="kim", role="account_manager")) == ("kim@example.com",)
    assert addresses(DIRECTORY, replace(FIRST, person="who left", role="account_manager")) == ()


@given(st.lists(st.sampled_from(["A@x.example", "a@x.example", "b@x.example", "c@x.example"]), max_size=6))
def test_every_address_is_tried_once_in_order_and_then_nobody_is_left(known: list[str]) -> None:
    rows, failed, tried = [FIRST], FIRST, []
    while True:
        row = follow_up(failed, rows, known, business_now=NOON, real_now=NOON)
        assert row == follow_up(failed, rows, known, business_now=NOON, real_now=NOON)
        made = replace(failed, seq=len(rows) + 1, **row)
        assert (made.fallback_of, made.fallback, made.occasion) == (FIRST.id, len(rows), FIRST.occasion)
        assert made.id not in {other.id for other in rows}
        rows.append(made)
        if made.state == "undeliverable":
            break
        tried.append(made.email)
        failed = replace(made, state="refused", ready_at=None)
    assert [address and address.lower() for address in tried] == list(dict.fromkeys(map(str.lower, known)))
    assert (made.email, made.ready_at) == (None, None)
    assert chain(made, [*reversed(rows), replace(FIRST, id=UUID(int=9))]) == rows


def test_who_was_reached_by_a_redelivery_was_told() -> None:
    never = replace(FIRST, state="undeliverable")
    again = replace(FIRST, seq=2, id=UUID(int=9), state="sent", redelivery=1, sent_at=NOON)
    notice = escalation(told_before=({"tier": TIERS[1], "at": NOON},))
    for rows in ([never, again], [again, never]):
        (told,) = told_before(notice, "kim", rows)
        assert told.sent_at == NOON
    (told,) = told_before(notice, "kim", [never])
    assert told.sent_at is None
