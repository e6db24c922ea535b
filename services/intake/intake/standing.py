"""What intake itself must know of a ticket's story: its severity, and whether it is open. The rest is sla-timer's.

Pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from tocsin.events import Fact, FactType

TELLING = (FactType.OPENED, FactType.SEVERITY_CHANGED, FactType.RESOLVED, FactType.REOPENED, FactType.CANCELLED)
"""The types of the facts that decide it."""


class Standing(NamedTuple):
    """`severity` is the effective one (RULES 1)."""

    severity: int
    is_open: bool


def standing(facts: Iterable[Fact]) -> Standing:
    """How the ticket stands after its facts.

    `facts` are in any order and hold the opening (number 1). They apply in the order of (occurred, number), none before
    the opening; what is impossible at its instant changes nothing (RULES, introduction).
    """
    numbered = sorted(facts, key=lambda fact: fact.number)
    opening = numbered[0]
    severity, is_open = opening.severity or 0, True
    for fact in sorted(numbered[1:], key=lambda fact: _order(fact, opening)):
        match fact.type:
            case FactType.SEVERITY_CHANGED:
                severity = fact.severity or severity
            case FactType.RESOLVED if severity > 1 or fact.resolution_kind != "workaround":
                is_open = False
            case FactType.CANCELLED:
                is_open = False
            case FactType.REOPENED:
                is_open = True
    return Standing(severity, is_open)


def is_impossible_workaround(fact: Fact, facts: Sequence[Fact]) -> bool:
    """Whether `fact`, one of `facts`, is a workaround on what they know to be severity 1 at that instant (RULES 3)."""
    if fact.type is not FactType.RESOLVED or fact.resolution_kind != "workaround":
        return False
    opening = min(facts, key=lambda other: other.number)
    until = _order(fact, opening)
    return standing([other for other in facts if _order(other, opening) <= until]).severity == 1


def _order(fact: Fact, opening: Fact) -> tuple[datetime, int]:
    return max(fact.occurred_at, opening.occurred_at), fact.number
