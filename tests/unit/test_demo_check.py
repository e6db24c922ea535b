"""The demo accepts only what the rules say: it finds everything missing, duplicate or different."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.stories import at, fact, shipped_policy, simulated
from tocsin_tools.demo.check import Evidence, find_deviations

RULES = shipped_policy().rules(None)
FACTS = (
    fact("opened", "06-08 12:00", severity=1),
    fact("responded", "06-08 12:10"),
    fact("resolved", "06-09 13:30"),
)
PEOPLE = {tier.number: f"{tier.role}@example.com" for tier in RULES.ladder}


def delivery(kind: str, tier: int, scheduled_at: str) -> dict[str, Any]:
    common = {"kind": kind, "role": RULES.ladder[tier - 1].role, "recipient": PEOPLE[tier]}
    return common | {"scheduled_at": scheduled_at, "state": "sent", "reply": "250 accepted"}


def mail(sent: dict[str, Any]) -> dict[str, Any]:
    return {"kind": sent["kind"], "to": sent["recipient"], "scheduled_at": sent["scheduled_at"]}


def correct() -> Evidence:
    """A ticket of severity 1, resolved after its second tier, with everything as the rules say."""
    simulation = simulated(*FACTS, until=("06-09 14:00"))
    steps = [
        {**step, "role": RULES.ladder[step["tier"] - 1].role, "voided": False}  # no tier is vacant
        for step in simulation["ladder"]
    ]
    deliveries = [
        delivery("warning", 1, at("06-09 06:10")),
        delivery("escalation", 1, at("06-09 12:10")),
        delivery("escalation", 2, at("06-09 13:10")),
        delivery("stand_down", 1, at("06-09 13:30")),
        delivery("stand_down", 2, at("06-09 13:30")),
    ]
    clocks = {**simulation, "clocks": [{**clock, "voided": False} for clock in simulation["clocks"]]}
    escalation = {"told": steps, "ended_at": at("06-09 13:30")}
    return Evidence(simulation, clocks, escalation, deliveries, [mail(each) for each in deliveries])


def test_correct_evidence_has_no_deviations() -> None:
    assert list(find_deviations(correct(), RULES)) == []


def _other_deadline(evidence: Evidence) -> Evidence:
    clocks = [{**evidence.clocks["clocks"][0], "due_at": at("06-08 13:01")}, *evidence.clocks["clocks"][1:]]
    return replace(evidence, clocks={**evidence.clocks, "clocks": clocks})


def _missing_step(evidence: Evidence) -> Evidence:
    assert evidence.escalation is not None
    return replace(evidence, escalation={**evidence.escalation, "told": evidence.escalation["told"][:1]})


def _missing_delivery(evidence: Evidence) -> Evidence:
    return replace(evidence, deliveries=evidence.deliveries[1:], mails=evidence.mails[1:])


def _extra_delivery(evidence: Evidence) -> Evidence:
    extra = delivery("response_missed", 1, at("06-08 13:00"))
    return replace(evidence, deliveries=[*evidence.deliveries, extra], mails=[*evidence.mails, mail(extra)])


def _refused_delivery(evidence: Evidence) -> Evidence:
    refused = {**evidence.deliveries[0], "state": "refused", "reply": "550 no such user"}
    return replace(evidence, deliveries=[refused, *evidence.deliveries[1:]], mails=evidence.mails[1:])


def _without_end(evidence: Evidence) -> Evidence:
    return replace(evidence, escalation={**(evidence.escalation or {}), "ended_at": None})


def _missing_mail(evidence: Evidence) -> Evidence:
    return replace(evidence, mails=[evidence.mails[0], *evidence.mails[2:]])


def _duplicate_mail(evidence: Evidence) -> Evidence:
    return replace(evidence, mails=[*evidence.mails, evidence.mails[0]])


def _missing_stand_down(evidence: Evidence) -> Evidence:
    return replace(evidence, deliveries=evidence.deliveries[:4], mails=evidence.mails[:4])


def _duplicate_stand_down(evidence: Evidence) -> Evidence:
    deliveries = [*evidence.deliveries, evidence.deliveries[4]]
    return replace(evidence, deliveries=deliveries, mails=[*evidence.mails, evidence.mails[4]])


CASES: list[tuple[Callable[[Evidence], Evidence], str]] = [
    (_other_deadline, f"clocks[0].due_at is {at('06-08 13:01')}, the rules say {at('06-08 13:00')}"),
    (lambda evidence: replace(evidence, escalation=None), "the escalator's ladder is"),
    (_missing_step, "the escalator's ladder is"),
    (_without_end, "has not ended"),
    (_missing_delivery, "1 warning to service_desk_team_lead"),
    (_extra_delivery, "1 response_missed to service_desk_team_lead"),
    (_refused_delivery, "is refused: 550 no such user"),
    (_missing_mail, "did not arrive"),
    (_duplicate_mail, "arrived but is not recorded as sent"),
    (_missing_stand_down, "stand-down mails went to"),
    (_duplicate_stand_down, "stand-down mails went to"),
]


@pytest.mark.parametrize(("spoil", "message"), CASES)
def test_every_deviation_is_found(spoil: Callable[[Evidence], Evidence], message: str) -> None:
    assert any(message in line for line in find_deviations(spoil(correct()), RULES))


def exhausted() -> Evidence:
    """A ticket of severity 1 that nobody resolves, after the end of its ladder."""
    simulation = simulated(*FACTS[:2], until="06-09 19:00")
    steps = [{**step, "role": RULES.ladder[step["tier"] - 1].role, "voided": False} for step in simulation["ladder"]]
    deliveries = [delivery("warning", 1, at("06-09 06:10"))]
    deliveries += [delivery("escalation", step["tier"], step["at"]) for step in steps]
    deliveries += [delivery("exhausted", step["tier"], simulation["exhausted_at"]) for step in steps]
    clocks = {**simulation, "clocks": [{**clock, "voided": False} for clock in simulation["clocks"]]}
    return Evidence(simulation, clocks, {"told": steps, "ended_at": None}, deliveries, list(map(mail, deliveries)))


def test_everyone_mailed_is_told_once_that_the_ladder_is_exhausted() -> None:
    evidence = exhausted()
    assert len(evidence.deliveries) == 1 + 2 * len(RULES.ladder)
    assert list(find_deviations(evidence, RULES)) == []
    fewer = replace(evidence, deliveries=evidence.deliveries[:-1], mails=evidence.mails[:-1])
    assert any("exhausted mails went to" in line for line in find_deviations(fewer, RULES))


def test_an_unsent_mail_is_right_only_after_the_ladder_ended() -> None:
    evidence = correct()
    cancelled = [{**each, "state": "cancelled"} for each in evidence.deliveries[:3]]
    unsent = replace(evidence, deliveries=cancelled, mails=[])
    assert list(find_deviations(unsent, RULES)) == []
    still_open = simulated(*FACTS[:2], until="06-09 13:20")
    clocks = {**still_open, "clocks": [{**clock, "voided": False} for clock in still_open["clocks"]]}
    lines = find_deviations(replace(unsent, simulated=still_open, clocks={**evidence.clocks, **clocks}), RULES)
    assert any("is cancelled" in line for line in lines)
