"""Where a mail goes after an address has failed."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.delivery import DeliveryState, Now
from notifier.domain.mail_history import earlier_mails, same_mail
from notifier.domain.new_delivery import addresses, delivery_for, next_address
from support.notifier_events import NOON, TIERS, escalation
from tocsin.directory import load_directory

NOW = Now(NOON, NOON)
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
FIRST = replace(
    delivery_for(escalation(at=NOON), NOW),
    seq=1,
    person="dana",
    name="Dana",
    email="dana@example.com",
    rule="default",
    state=DeliveryState.REFUSED,
    ready_at=None,
    reply="550 no such user",
)
OWN = ("dana@example.com", "dana@home.example", "dana@other.example")


@pytest.mark.rule("5.27")
def test_own_addresses_come_before_the_group_and_the_customers_group_before_the_general_one() -> None:
    assert addresses(DIRECTORY, FIRST) == (*OWN, "desk-acme@example.com")
    assert addresses(DIRECTORY, replace(FIRST, customer_id="globex")) == (*OWN, "desk@example.com")
    assert addresses(DIRECTORY, replace(FIRST, person="kim", role="account_manager")) == ("kim@example.com",)
    assert addresses(DIRECTORY, replace(FIRST, person="somebody who left", role="account_manager")) == ()


@pytest.mark.rule("5.27")
def test_a_stand_down_goes_to_the_persons_own_addresses_only() -> None:
    stand_down = replace(FIRST, kind="stand_down")
    assert addresses(DIRECTORY, stand_down) == OWN
    assert addresses(DIRECTORY, replace(stand_down, email="desk-acme@example.com")) == ()
    beside = replace(stand_down, seq=2, id=UUID(int=3), email="dana@home.example", state=DeliveryState.SENT)
    following = next_address(stand_down, [stand_down, beside], OWN, NOW)
    assert (following.email, following.state) == ("dana@other.example", "queued")


@pytest.mark.rule("5.27")
@given(st.lists(st.sampled_from(["A@x.example", "a@x.example", "b@x.example", "c@x.example"]), max_size=6))
def test_every_address_is_tried_once_in_order_and_then_the_mail_is_undeliverable(known: list[str]) -> None:
    rows, failed, tried = [FIRST], FIRST, []
    while True:
        made = next_address(failed, rows, known, NOW)
        assert made == next_address(failed, rows, known, NOW)
        assert (made.fallback_of, made.fallback_number, made.occasion) == (FIRST.id, len(rows), FIRST.occasion)
        assert made.id not in {other.id for other in rows}
        rows.append(replace(made, seq=len(rows) + 1))
        if made.state == DeliveryState.UNDELIVERABLE:
            break
        tried.append(made.email or "")
        failed = replace(rows[-1], state=DeliveryState.REFUSED, ready_at=None)
    assert [address.lower() for address in tried] == list(dict.fromkeys(map(str.lower, known)))
    assert (made.email, made.ready_at) == (None, None)
    assert same_mail(made, [*reversed(rows), replace(FIRST, id=UUID(int=9))]) == rows


def test_a_redelivery_that_arrived_counts_as_notified() -> None:
    never = replace(FIRST, state=DeliveryState.UNDELIVERABLE)
    again = replace(FIRST, seq=2, id=UUID(int=9), state=DeliveryState.SENT, redelivery_number=1, sent_at=NOON)
    notify = escalation(told_before=({"tier": TIERS[1], "at": NOON},))
    for rows in ([never, again], [again, never]):
        (earlier,) = earlier_mails(notify, "kim", rows)
        assert earlier.sent_at == NOON
    (earlier,) = earlier_mails(notify, "kim", [never])
    assert earlier.sent_at is None
