"""That what came out of the pipeline is what the rules say. Pure: everything is handed in as the calls answered it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sla_timer.domain.timeline_events import EventKind
from tocsin.policy import Rules
from tocsin_local.diff import differences

Data = Mapping[str, Any]
ANSWER_OF = {"response": "response_missed", "answer": "answer_missed"}


@dataclass(frozen=True)
class Findings:
    """All that is known of a ticket: what the rules say (`pure`), the three services' answers, and its mails.

    `escalation` null: the escalator knows no ladder of it.
    """

    pure: Data
    clocks: Data
    escalation: Data | None
    deliveries: Sequence[Data]
    mails: Sequence[Data]

    @property
    def taken_back(self) -> bool:
        """Whether something was told that a fact, which came too late, has made untrue since (RULES 4)."""
        told = self.escalation["told"] if self.escalation else ()
        return any(step["voided"] for step in told) or any(clock["voided"] for clock in self.clocks["clocks"])

    @property
    def steps(self) -> list[Data]:
        """The steps that the escalator told and that still hold."""
        return [step for step in self.escalation["told"] if not step["voided"]] if self.escalation else []

    @property
    def ended(self) -> bool:
        return any(event["type"] == EventKind.ENDED for event in self.pure["events"])


def wrong(found: Findings, rules: Rules) -> Iterator[str]:
    """A line for everything that is not as the rules say."""
    yield from differences(found.pure, found.clocks)
    yield from _wrong_ladder(found)
    yield from _wrong_deliveries(found, rules)
    yield from _wrong_mails(found)
    yield from _wrong_stand_downs(found, rules)


def _wrong_ladder(found: Findings) -> Iterator[str]:
    told = [{"step": step["step"], "at": step["at"], "reason": step["reason"]} for step in found.steps]
    expected = [{"step": step["step"], "at": step["at"], "reason": step["reason"]} for step in found.pure["ladder"]]
    yield from differences(expected, told, "the escalator's ladder")
    tiers = [step["tier"] for step in found.steps]
    if tiers != sorted(set(tiers)):
        yield f"the tiers were told in the order {tiers}"
    if found.ended and found.escalation is not None and found.escalation["ended_at"] is None:
        yield "the escalator's ladder has not ended"


def _wrong_deliveries(found: Findings, rules: Rules) -> Iterator[str]:
    """Every warning, miss and step addressed once to each of its roles, and handed over unless all was over by then."""
    expected = Counter[tuple[str, str, str]]()
    for event in found.pure["events"]:
        if event["type"] == EventKind.WARNED:
            expected.update(("warning", role, event["at"]) for role in rules.warning_roles)
        elif event["type"] == EventKind.BREACHED and event["clock"] in ANSWER_OF:
            missed = event["clock"] == "answer"
            roles = rules.answer_missed_roles if missed else rules.response_missed_roles
            expected.update((ANSWER_OF[event["clock"]], role, event["at"]) for role in roles)
    expected.update(("escalation", step["role"], step["at"]) for step in found.steps)
    addressed = [delivery for delivery in found.deliveries if delivery["kind"] != "stand_down"]
    counted = Counter((delivery["kind"], delivery["role"], delivery["scheduled_at"]) for delivery in addressed)
    for (kind, role, at), number in sorted((expected - counted).items()):
        yield f"{number} {kind} to {role} for {at} is missing"
    if not found.taken_back:
        for (kind, role, at), number in sorted((counted - expected).items()):
            yield f"{number} {kind} to {role} for {at} is too many"
    for delivery in found.deliveries:
        over = delivery["state"] == "cancelled" and (found.ended or found.pure["next"] is None or found.taken_back)
        if delivery["state"] != "sent" and not over:
            yield f"the {delivery['kind']} to {delivery['recipient']} is {delivery['state']}: {delivery['reply']}"


def _wrong_mails(found: Findings) -> Iterator[str]:
    """Everything that was sent lies in the inbox once."""
    sent = Counter(
        (delivery["kind"], delivery["recipient"], delivery["scheduled_at"])
        for delivery in found.deliveries
        if delivery["state"] == "sent"
    )
    arrived = Counter((mail["kind"], mail["to"], mail["scheduled_at"]) for mail in found.mails)
    for (kind, to, at), number in sorted((sent - arrived).items()):
        yield f"{number} mail {kind} to {to} for {at} did not arrive"
    for (kind, to, at), number in sorted((arrived - sent).items()):
        yield f"{number} mail {kind} to {to} for {at} arrived without having been sent"


def _wrong_stand_downs(found: Findings, rules: Rules) -> Iterator[str]:
    """Who was mailed by a ladder that has ended is told so, once; nobody else is."""
    if found.taken_back:
        return
    told = {mail["to"] for mail in found.mails if mail["kind"] == "escalation"}
    expected = Counter(told if found.ended and rules.stand_down else ())
    stood_down = Counter(mail["to"] for mail in found.mails if mail["kind"] == "stand_down")
    if expected != stood_down:
        yield f"stood down: {sorted(stood_down.elements())}, by the rules {sorted(expected.elements())}"
