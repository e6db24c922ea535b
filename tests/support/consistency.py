"""Checks that the services' APIs, the mails and the simulation agree on a ticket."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_timer.domain.simulate import SimulationRequest, simulate

from support.inbox import ReceivedMail
from support.stories import shipped_policy

Json = dict[str, Any]
Notification = tuple[str, str, int | None]
"""Kind, scheduled instant, step of the ladder."""
NOT_SIMULATED = ("stand_down", "escalation_request", "rerouted")
"""Kinds of mails that the simulation does not know."""


@dataclass
class PostedTicket:
    """A ticket that a scenario has posted: its ids, and its facts in the form that the simulation reads."""

    id: str
    external_id: str
    customer: str
    facts: list[Json] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        changes = [fact["type"] for fact in self.facts if fact["type"] in ("resolved", "cancelled", "reopened")]
        return not changes or changes[-1] == "reopened"

    def simulate(self, until: str) -> Json:
        """The timeline that the simulation computes from the facts."""
        story = {"facts": self.facts, "until": until, "customer": self.customer}
        return simulate(SimulationRequest.model_validate_json(json.dumps(story)), [shipped_policy()])


@dataclass(frozen=True)
class Observed:
    """A ticket as seen from outside: the responses of sla-timer, escalator and notifier, and the mails about it."""

    clocks: Json
    escalations: Sequence[Json]
    deliveries: Sequence[Json]
    mails: Sequence[ReceivedMail]


def assert_clocks_match(clocks: Json, simulated: Json) -> None:
    """sla-timer's response equals the simulation."""
    for name in ("severity", "first_responded_at", "next_at", "next", "ladder", "exhausted_at"):
        assert clocks[name] == simulated[name], f"{name}: {clocks[name]} instead of {simulated[name]}"
    for actual, expected in zip(clocks["clocks"], simulated["clocks"], strict=True):
        assert {name: actual[name] for name in expected} == expected


def assert_consistent(observed: Observed, simulated: Json) -> None:
    """sla-timer, escalator, notifier and the inbox all match the simulation, and each person got each mail once.

    Not for a ticket with a voided breach (its mails were already sent) or a vacant tier (the simulation does not know
    who is on call).
    """
    assert_clocks_match(observed.clocks, simulated)
    steps = [
        (step["step"], step["tier"], step["at"], step["reason"])
        for escalation in reversed(observed.escalations)
        for step in escalation["told"]
        if (step["cycle"], step["run"]) == (escalation["cycle"], escalation["run"])
    ]
    assert steps == [(step["step"], step["tier"], step["at"], step["reason"]) for step in simulated["ladder"]]
    decided = [
        (delivery["kind"], delivery["scheduled_at"], delivery["step"])
        for delivery in observed.deliveries
        if delivery["kind"] not in NOT_SIMULATED
    ]
    assert Counter(decided) == Counter(_expected_notifications(simulated))
    _assert_mails_match(observed)
    for event in simulated["events"]:
        if event["type"] == "ladder.ended":
            _assert_all_stood_down(observed, event["cycle"])


def _assert_mails_match(observed: Observed) -> None:
    """Each delivery in state `sent` has arrived once, in order for each person, and no other mail has arrived."""
    assert {delivery["state"] for delivery in observed.deliveries} <= {"sent", "cancelled"}
    sent = [delivery for delivery in observed.deliveries if delivery["state"] == "sent"]
    assert Counter(mail.message_id for mail in observed.mails) == Counter(delivery["message_id"] for delivery in sent)
    for person in {mail.to for mail in observed.mails}:
        arrived = [mail.message_id for mail in observed.mails if mail.to == person]
        assert arrived == [delivery["message_id"] for delivery in sent if delivery["recipient"] == person]


def _assert_all_stood_down(observed: Observed, cycle: int) -> None:
    """Everyone who got an escalation mail in the cycle got one stand-down mail, and one mail if it was exhausted."""
    mails = [mail for mail in observed.mails if mail.headers.get("Tocsin-Cycle") == str(cycle)]
    escalated_to = {mail.to for mail in mails if mail.kind == "escalation"}
    exhausted = sorted(mail.to for mail in mails if mail.kind == "exhausted")
    assert exhausted in ([], sorted(escalated_to))
    assert sorted(mail.to for mail in mails if mail.kind == "stand_down") == sorted(escalated_to)


def _expected_notifications(simulated: Json) -> Iterator[Notification]:
    for event in simulated["events"]:
        match event:
            case {"type": "clock.warned", "at": at}:
                yield "warning", at, None
            case {"type": "clock.breached", "clock": "response" | "answer" as clock, "at": at}:
                yield f"{clock}_missed", at, None
            case {"type": "ladder.step_due", "at": at, "step": step}:
                yield "escalation", at, step
            case {"type": "ladder.exhausted", "at": at, "cycle": cycle}:
                steps = [step for step in simulated["events"] if step["type"] == "ladder.step_due"]
                yield from [("exhausted", at, None)] * sum(step["cycle"] == cycle for step in steps)
