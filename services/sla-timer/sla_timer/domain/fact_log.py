"""What the timeline is told: a ticket's facts in their order, and the rules in force at each instant."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from tocsin.business_time import micros
from tocsin.events import Fact, FactType
from tocsin.policy import Policy, Rules


class Step(NamedTuple):
    """A fact as the timeline reads it; `at` in microseconds since the epoch."""

    at: int
    number: int
    type: FactType
    severity: int
    workaround: bool


class Story:
    """The facts of one ticket in the order of (occurred, number), none before its opening (RULES, introduction).

    `steps` may come in any order and more than once; number 1 is the opening. Raises ValueError without it.
    """

    __slots__ = ("channel", "steps")

    def __init__(self, steps: Iterable[Step], channel: str) -> None:
        by_number = {step.number: step for step in steps}
        opening = by_number.get(1)
        if opening is None or opening.type is not FactType.OPENED:
            raise ValueError("the first fact of a ticket must be its opening, with its severity")
        self.steps = sorted(
            step if step.at >= opening.at else step._replace(at=opening.at) for step in by_number.values()
        )
        self.channel = channel

    @classmethod
    def of(cls, facts: Iterable[Fact], channel: str) -> Self:
        """The story that the facts of an event tell."""
        return cls(
            (
                Step(
                    micros(fact.occurred_at),
                    fact.number,
                    fact.type,
                    fact.severity or 0,
                    fact.resolution_kind == "workaround",
                )
                for fact in facts
            ),
            channel,
        )


class Rulebook:
    """Every version of the policy as one customer sees it, in force from its instant on; the oldest also before."""

    __slots__ = ("changes", "rules", "versions")

    def __init__(self, policies: Sequence[Policy], customer: str | None) -> None:
        ordered = sorted(policies, key=lambda policy: policy.in_force_from)
        self.changes = [micros(policy.in_force_from) for policy in ordered[1:]]
        self.rules: list[Rules] = [policy.rules(customer) for policy in ordered]
        self.versions = [policy.version for policy in ordered]

    def index_at(self, at: int) -> int:
        """The index of the version in force at `at`."""
        return bisect_right(self.changes, at)
