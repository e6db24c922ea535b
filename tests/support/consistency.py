"""What is told of a ticket, and that all who tell it tell the same: mails, APIs and the pure function."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sla_timer.domain.simulate import StoryRequest, simulate

from support.inbox import Mail
from support.stories import shipped_policy

Answer = dict[str, Any]
Notice = tuple[str, str, int | None]


@dataclass
class Ticket:
    """A ticket of a story: its ids, and its facts as the simulation takes them."""

    id: str
    external_id: str
    customer: str
    facts: list[Answer] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        last = [fact["type"] for fact in self.facts if fact["type"] in ("resolved", "cancelled", "reopened")]
        return not last or last[-1] == "reopened"

    def simulated(self, until: str) -> Answer:
        """What the pure function says of the same facts."""
        story = {"facts": self.facts, "until": until, "customer": self.customer}
        return simulate(StoryRequest.model_validate_json(json.dumps(story)), [shipped_policy()])


@dataclass(frozen=True)
class Told:
    """What sla-timer, escalator and notifier say of a ticket by their APIs, and what was mailed about it."""

    clocks: Answer
    ladders: Sequence[Answer]
    deliveries: Sequence[Answer]
    mails: Sequence[Mail]


def agree_on_clocks(clocks: Answer, pure: Answer) -> None:
    """That the timer's answer is what the pure function says."""
    for name in ("severity", "first_responded_at", "next_at", "next", "ladder", "exhausted_at"):
        assert clocks[name] == pure[name], f"{name}: {clocks[name]} but {pure[name]}"
    for one, other in zip(clocks["clocks"], pure["clocks"], strict=True):
        assert {name: one[name] for name in other} == other


def agree(told: Told, pure: Answer) -> None:
    """That timer, escalator, notifier and inbox tell what the pure function says, each person once.

    Only where nothing was ever told that turned out untrue (what was mailed stays mailed) and no tier was vacant (the
    pure function knows no people).
    """
    agree_on_clocks(told.clocks, pure)
    steps = [
        (step["step"], step["tier"], step["at"], step["reason"])
        for ladder in reversed(told.ladders)
        for step in ladder["told"]
        if (step["cycle"], step["run"]) == (ladder["cycle"], ladder["run"])
    ]
    assert steps == [(step["step"], step["tier"], step["at"], step["reason"]) for step in pure["ladder"]]
    decided = [(d["kind"], d["scheduled_at"], d["step"]) for d in told.deliveries if d["kind"] != "stand_down"]
    assert Counter(decided) == Counter(_notices(pure))
    agree_on_mails(told)
    for event in pure["events"]:
        if event["type"] == "ladder.ended":
            _stood_down(told, event["cycle"])


def agree_on_mails(told: Told) -> None:
    """That what the notifier calls sent arrived, each once and on its own, in its order, and nothing else."""
    sent = [delivery for delivery in told.deliveries if delivery["state"] == "sent"]
    assert Counter(mail.message_id for mail in told.mails) == Counter(delivery["message_id"] for delivery in sent)
    for delivery in told.deliveries:
        if delivery["state"] != "sent":
            assert delivery["state"] == "cancelled", delivery
    for person in {mail.to for mail in told.mails}:
        mine = [mail.message_id for mail in told.mails if mail.to == person]
        assert mine == [delivery["message_id"] for delivery in sent if delivery["recipient"] == person]


def _notices(pure: Answer) -> Iterator[Notice]:
    """What somebody is to be told, by the pure function: kind, scheduled instant, step."""
    for event in pure["events"]:
        match event:
            case {"type": "clock.warned", "at": at}:
                yield "warning", at, None
            case {"type": "clock.breached", "clock": "response" | "answer" as clock, "at": at}:
                yield f"{clock}_missed", at, None
            case {"type": "ladder.step_due", "at": at, "step": step}:
                yield "escalation", at, step


def _stood_down(told: Told, cycle: int) -> None:
    """Everyone who was mailed in a run that ended got one stand-down mail of it."""
    of_cycle = [mail for mail in told.mails if mail.headers["Tocsin-Cycle"] == str(cycle)]
    mailed = {mail.to for mail in of_cycle if mail.kind == "escalation"}
    assert sorted(mail.to for mail in of_cycle if mail.kind == "stand_down") == sorted(mailed)
