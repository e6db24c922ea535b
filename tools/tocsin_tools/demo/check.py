"""Checks that the pipeline did what the rules say about one ticket. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.policy import Rules

from tocsin_tools.differences import differences

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What is known of a ticket: the `simulated` timeline, the responses of the services, and the mails received.

    `escalation` is None if the escalator has no ladder for it.
    """

    simulated: Json
    clocks: Json
    escalation: Json | None
    deliveries: Sequence[Json]
    mails: Sequence[Json]

    @property
    def has_voidings(self) -> bool:
        """Whether late evidence voided something that was published (docs/rules.md#4-17)."""
        steps = self.escalation["told"] if self.escalation else ()
        return any(step["voided"] for step in steps) or any(clock["voided"] for clock in self.clocks["clocks"])

    @property
    def steps(self) -> list[Json]:
        """The ladder steps that the escalator took and that are not voided."""
        return [step for step in self.escalation["told"] if not step["voided"]] if self.escalation else []

    @property
    def has_ended(self) -> bool:
        """Whether a ladder of the ticket has ended."""
        return any(event["type"] == "ladder.ended" for event in self.simulated["events"])


def find_deviations(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """One line for everything that is not as the rules say."""
    yield from differences(evidence.simulated, evidence.clocks)
    yield from _check_ladder(evidence)
    yield from _check_deliveries(evidence, rules)
    yield from _check_inbox(evidence)
    yield from _check_exhausted(evidence, rules)
    yield from _check_stand_downs(evidence, rules)


def _check_ladder(evidence: Evidence) -> Iterator[str]:
    names = ("step", "at", "reason")
    expected = [{name: step[name] for name in names} for step in evidence.simulated["ladder"]]
    found = [{name: step[name] for name in names} for step in evidence.steps]
    yield from differences(expected, found, "the escalator's ladder")
    tiers = [step["tier"] for step in evidence.steps]
    if tiers != sorted(set(tiers)):
        yield f"the tiers were notified in the order {tiers}"
    if evidence.has_ended and evidence.escalation is not None and evidence.escalation["ended_at"] is None:
        yield "the escalator's ladder has not ended"


def _check_deliveries(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """Every warning, missed clock and step has one delivery per role, and is sent unless it is no longer needed."""
    expected = Counter[tuple[str, str, str]]()
    for event in evidence.simulated["events"]:
        match event["type"], event.get("clock"):
            case "clock.warned", _:
                kind, roles = "warning", rules.warning_roles
            case "clock.breached", "response":
                kind, roles = "response_missed", rules.response_missed_roles
            case "clock.breached", "answer":
                kind, roles = "answer_missed", rules.answer_missed_roles
            case _:
                continue
        expected.update((kind, role, event["at"]) for role in roles)
    expected.update(("escalation", step["role"], step["at"]) for step in evidence.steps)
    found = Counter(
        (delivery["kind"], delivery["role"], delivery["scheduled_at"])
        for delivery in evidence.deliveries
        if delivery["kind"] not in ("exhausted", "stand_down")
    )
    for (kind, role, at), count in sorted((expected - found).items()):
        yield f"{count} {kind} to {role} for {at} is missing"
    if not evidence.has_voidings:
        for (kind, role, at), count in sorted((found - expected).items()):
            yield f"{count} {kind} to {role} for {at} is not expected"
    is_over = evidence.has_ended or evidence.simulated["next"] is None or evidence.has_voidings
    for delivery in evidence.deliveries:
        if delivery["state"] != "sent" and not (delivery["state"] == "cancelled" and is_over):
            yield f"the {delivery['kind']} to {delivery['recipient']} is {delivery['state']}: {delivery['reply']}"


def _check_inbox(evidence: Evidence) -> Iterator[str]:
    """Every mail that was sent is in the inbox once."""
    sent = Counter(
        (delivery["kind"], delivery["recipient"], delivery["scheduled_at"])
        for delivery in evidence.deliveries
        if delivery["state"] == "sent"
    )
    received = Counter((mail["kind"], mail["to"], mail["scheduled_at"]) for mail in evidence.mails)
    for (kind, to, at), count in sorted((sent - received).items()):
        yield f"{count} {kind} mail to {to} for {at} did not arrive"
    for (kind, to, at), count in sorted((received - sent).items()):
        yield f"{count} {kind} mail to {to} for {at} arrived but is not recorded as sent"


def _check_exhausted(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """Everyone mailed by a ladder that was exhausted is told so once, and nobody else (docs/rules.md#5-22)."""
    if evidence.has_voidings:
        return
    mailed = {mail["to"] for mail in evidence.mails if mail["kind"] == "escalation"}
    expected = Counter(mailed if evidence.simulated["exhausted_at"] and rules.mail_exhausted else ())
    found = Counter(delivery["recipient"] for delivery in evidence.deliveries if delivery["kind"] == "exhausted")
    if expected != found:
        yield f"exhausted mails went to {sorted(found.elements())}, the rules say {sorted(expected.elements())}"


def _check_stand_downs(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """Everyone mailed by a ladder that has ended got one stand-down mail, and nobody else (docs/rules.md#5-24)."""
    if evidence.has_voidings:
        return
    mailed = {mail["to"] for mail in evidence.mails if mail["kind"] == "escalation"}
    expected = Counter(mailed if evidence.has_ended and rules.stand_down else ())
    found = Counter(mail["to"] for mail in evidence.mails if mail["kind"] == "stand_down")
    if expected != found:
        yield f"stand-down mails went to {sorted(found.elements())}, the rules say {sorted(expected.elements())}"
