"""The demo says yes only when all is as the rules say: whatever is missing, double or otherwise, it finds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.stories import at, fact, shipped_policy, simulated
from tocsin_local.demo.checking import Findings, wrong

RULES = shipped_policy().rules(None)
STORY = (
    fact("opened", "06-08 12:00", severity=1),
    fact("responded", "06-08 12:10"),
    fact("resolved", "06-09 13:30"),
)
PEOPLE = {tier.number: f"{tier.role}@example.com" for tier in RULES.ladder}


def delivery(kind: str, tier: int, scheduled_at: str) -> dict[str, Any]:
    role = RULES.ladder[tier - 1].role
    known = {"kind": kind, "role": role, "recipient": PEOPLE[tier], "scheduled_at": scheduled_at}
    return known | {"state": "sent", "reply": "250 taken"}


def mail(delivered: dict[str, Any]) -> dict[str, Any]:
    return {"kind": delivered["kind"], "to": delivered["recipient"], "scheduled_at": delivered["scheduled_at"]}


def as_it_should_be() -> Findings:
    """A severity 1 that is resolved after its second tier."""
    pure = simulated(*STORY, until=("06-09 14:00"))
    steps = [
        {**step, "role": RULES.ladder[step["tier"] - 1].role, "voided": False}  # nobody is vacant
        for step in pure["ladder"]
    ]
    deliveries = [
        delivery("warning", 1, at("06-09 06:10")),
        delivery("escalation", 1, at("06-09 12:10")),
        delivery("escalation", 2, at("06-09 13:10")),
        delivery("stand_down", 1, at("06-09 13:30")),
        delivery("stand_down", 2, at("06-09 13:30")),
    ]
    clocks = {**pure, "clocks": [{**clock, "voided": False} for clock in pure["clocks"]]}
    escalation = {"told": steps, "ended_at": at("06-09 13:30")}
    return Findings(pure, clocks, escalation, deliveries, [mail(each) for each in deliveries])


def test_what_is_as_it_should_be() -> None:
    assert list(wrong(as_it_should_be(), RULES)) == []


def _another_due(found: Findings) -> Findings:
    clocks = [{**found.clocks["clocks"][0], "due_at": at("06-08 13:01")}, *found.clocks["clocks"][1:]]
    return replace(found, clocks={**found.clocks, "clocks": clocks})


def _lost_step(found: Findings) -> Findings:
    assert found.escalation is not None
    return replace(found, escalation={**found.escalation, "told": found.escalation["told"][:1]})


def _lost_delivery(found: Findings) -> Findings:
    return replace(found, deliveries=found.deliveries[1:], mails=found.mails[1:])


def _one_more_delivery(found: Findings) -> Findings:
    more = delivery("response_missed", 1, at("06-08 13:00"))
    return replace(found, deliveries=[*found.deliveries, more], mails=[*found.mails, mail(more)])


def _refused(found: Findings) -> Findings:
    refused = {**found.deliveries[0], "state": "refused", "reply": "550 no such user"}
    return replace(found, deliveries=[refused, *found.deliveries[1:]], mails=found.mails[1:])


CASES: list[tuple[Callable[[Findings], Findings], str]] = [
    (_another_due, f"clocks[0].due_at is {at('06-08 13:01')}, the rules say {at('06-08 13:00')}"),
    (lambda found: replace(found, escalation=None), "the escalator's ladder is"),
    (_lost_step, "the escalator's ladder is"),
    (lambda found: replace(found, escalation={**(found.escalation or {}), "ended_at": None}), "has not ended"),
    (_lost_delivery, "1 warning to service_desk_team_lead"),
    (_one_more_delivery, "1 response_missed to service_desk_team_lead"),
    (_refused, "is refused: 550 no such user"),
    (lambda found: replace(found, mails=[found.mails[0], *found.mails[2:]]), "did not arrive"),
    (lambda found: replace(found, mails=[*found.mails, found.mails[0]]), "arrived without having been sent"),
    (lambda found: replace(found, deliveries=found.deliveries[:4], mails=found.mails[:4]), "stood down:"),
    (
        lambda found: replace(
            found, deliveries=[*found.deliveries, found.deliveries[4]], mails=[*found.mails, found.mails[4]]
        ),
        "stood down:",
    ),
]


@pytest.mark.parametrize(("spoil", "says"), CASES)
def test_what_is_not_is_found(spoil: Callable[[Findings], Findings], says: str) -> None:
    assert any(says in line for line in wrong(spoil(as_it_should_be()), RULES))


def test_a_mail_that_was_not_sent_is_right_only_when_all_is_over() -> None:
    found = as_it_should_be()
    cancelled = [{**each, "state": "cancelled"} for each in found.deliveries[:3]]
    unsent = replace(found, deliveries=cancelled, mails=[])
    assert list(wrong(unsent, RULES)) == []
    still_open = simulated(*STORY[:2], until="06-09 13:20")
    live = {**still_open, "clocks": [{**clock, "voided": False} for clock in still_open["clocks"]]}
    texts = wrong(replace(unsent, pure=still_open, clocks={**found.clocks, **live}), RULES)
    assert any("is cancelled" in text for text in texts)
