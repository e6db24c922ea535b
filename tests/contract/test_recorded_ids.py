"""Derived ids, recorded once: the same event, delivery or mail has the same id in every release.

Repeated and republished events are recognised by their id only. A recorded id is never changed.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from escalator.domain.decisions import decide
from escalator.domain.tiers import TicketEscalation
from intake.domain.acknowledgement import acknowledgement_event_id
from intake.domain.new_ticket import new_ticket
from intake.domain.ticket_request import BatchItemRequest, validate_request
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, Now
from notifier.domain.message import MailSender, message_id, thread_headers
from notifier.domain.new_delivery import delivery_for, next_address, redelivery_id, stand_down_deliveries
from notifier.domain.template_context import Redelivery
from support.fake_timer import FakeTimer, moment, numbered_fact
from support.intake_world import event, ticket
from support.stories import shipped_policy
from tocsin.acknowledgement import AcknowledgementLink
from tocsin.events import (
    ClockBreached,
    ClockVoided,
    DeadlineEvent,
    EscalationEvent,
    Event,
    Exhausted,
    LadderEnded,
    LadderStepDue,
    LadderStepVoided,
    Notify,
    StandDown,
    Tier,
    Withdraw,
    decode,
)

RECORDED = Path(__file__).parent / "recorded" / "v1"
INSTANT = datetime(2026, 6, 9, 14, tzinfo=UTC)
NOW = Now(real=INSTANT, business=INSTANT)


def recording(name: str) -> Any:
    """The recorded event of this type."""
    found = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    headers = [(header, text.encode()) for header, text in found["headers"].items()]
    return decode(headers, json.dumps(found["value"]).encode())


def ids(events: Iterable[DeadlineEvent | EscalationEvent], *kinds: type[Event]) -> list[str]:
    """The ids of the events of these types, in order."""
    return [str(each.event_id) for each in events if isinstance(each, kinds)]


def decided(*events: DeadlineEvent) -> list[EscalationEvent]:
    """What the escalator publishes about these events."""
    escalation, published = TicketEscalation(), list[EscalationEvent]()
    for each in events:
        escalation, new = decide(each, escalation, lambda tier, at: False)
        published += new
    return published


def silent_ticket() -> FakeTimer:
    """A severity-1 ticket that nobody responded to, until its second step."""
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 14:10"))
    return timer


def test_events_about_clocks() -> None:
    timer = silent_ticket()
    timer.receive([numbered_fact(2, "responded", "06-08 12:50", "06-09 14:10")], moment("06-09 14:10"))
    assert ids(timer.events, ClockBreached, ClockVoided)[:2] == [
        "57edde38-26f0-5af6-a3ff-8e9ca02266ba",
        "e9e47ea7-176c-53e2-a31f-f31735f08ce9",
    ]


def test_events_about_the_ladder() -> None:
    timer = silent_ticket()
    timer.receive([numbered_fact(2, "responded", "06-08 13:30", "06-09 14:10")], moment("06-09 14:10"))
    timer.receive([numbered_fact(3, "resolved", "06-08 14:00", "06-09 14:10")], moment("06-09 14:10"))
    assert ids(timer.events, LadderStepDue, LadderStepVoided, LadderEnded) == [
        "4c346bc0-a62a-54ae-a4c6-13b477266b2f",
        "8e559bda-cac5-5f85-9372-7be030950be2",
        "26437614-bbb6-59f3-a4c2-8f7bae95b6b7",
        "e6085497-1c32-5860-bec3-f36388142ace",
    ]


def test_notifications_and_their_end() -> None:
    step, ended, exhausted = [recording(f"ladder.{name}") for name in ("step_due", "ended", "exhausted")]
    assert ids(decided(step, ended, exhausted), Notify, StandDown, Exhausted) == [
        "c9921c57-b59d-5c6f-a733-a5823d784196",
        "ed7a34bc-2079-5c0a-9b26-f8b1307628b6",
        "7f3db553-1ad8-5e37-aa3f-b5aa5e16f6a0",
    ]
    warned = recording("clock.warned")
    met = recording("clock.met").model_copy(update={"clock": warned.clock})
    assert ids(decided(warned, met), Notify, Withdraw) == [
        "72c05bbb-0151-5f3f-91c6-343a616b115c",
        "85b5c8df-fc79-5563-b8f0-e8ff3d2bede9",
    ]


def test_deliveries() -> None:
    first = delivered(recording("notify"))
    refused = replace(first, state=DeliveryState.REFUSED)
    stand_down = stand_down_deliveries(recording("stand_down"), [first], NOW)[0]
    published = JournalEntry.of(first).event
    assert published is not None
    found = {
        "delivery": first.id,
        "its event": published.event_id,
        "to the next address": next_address(refused, [refused], ["dana@example.org"], NOW).id,
        "of a stand-down": stand_down.id,
        "first redelivery": redelivery_id(first, 1),
        "redelivery by its key": redelivery_id(first, "key"),
    }
    assert {name: str(id_) for name, id_ in found.items()} == {
        "delivery": "d741bcf4-166d-5217-9960-675f4e3e4e2b",
        "its event": "9101a149-8d33-5c4a-9e54-fc4498ddfcd6",
        "to the next address": "768ad827-6aa4-5a96-90b1-53429ca45b46",
        "of a stand-down": "f1258a1f-b6b7-58d5-9aa6-d946c652cd63",
        "first redelivery": "854e3851-2b23-50bf-8133-3ba6b6852d9d",
        "redelivery by its key": "68fa34ce-9920-5c4e-b0e9-70c01bdff31e",
    }


def delivered(notify: Notify) -> Delivery:
    first = delivery_for(notify, NOW)
    return replace(first, state=DeliveryState.SENT, person="dana", email="dana@example.com", attempts=1)


def test_mails() -> None:
    notify, sender = recording("notify"), MailSender("tocsin@example.com")
    redelivery = Redelivery("an administrator", INSTANT, number=1)
    found = {
        "mail": message_id(notify, "dana", sender),
        "its first redelivery": message_id(notify, "dana", sender, redelivery),
        "conversation": dict(thread_headers(notify, "Mail is down", sender, []))["References"],
    }
    assert {name: id_.split("@")[0].split(".")[1] for name, id_ in found.items()} == {
        "mail": "87f9dd4e-8ffd-5872-8a89-203f1c32e5cd",
        "its first redelivery": "679a2031-683f-5bb2-b98f-fa70554db35f",
        "conversation": "65ab5165-e575-5814-985c-b1f40a5997e9",
    }


def test_facts() -> None:
    body = ticket(events=[event("responded")])
    new = new_ticket(shipped_policy(), "default", validate_request(BatchItemRequest, body), INSTANT)
    assert new.facts[-1].fact.event_id == "a38ecf9f-212f-5995-acd6-c58d23a4e7f2"
    link = AcknowledgementLink(
        tenant="default",
        ticket_id=new.ticket.ticket_id,
        cycle=1,
        run=2,
        step=3,
        tier=Tier(number=3, role="it_operations_director", title="IT Operations Director"),
        reason="no_response",
        person="dana",
        name="Dana",
        expires_at=INSTANT,
    )
    assert acknowledgement_event_id(link) == "67f66bb2-e0c7-5d28-a75f-3866c848a27d"
