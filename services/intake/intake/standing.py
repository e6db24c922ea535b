"""What intake itself must know of a ticket's story: its severity, and whether it is open. The rest is sla-timer's.

Pure.
"""

from collections.abc import Iterable
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
    opening, *later = _in_order(facts)
    severity, is_open = opening.severity or 0, True
    for fact in later:
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


def impossible_workarounds(facts: Iterable[Fact]) -> list[Fact]:
    """The workarounds on what these facts know to be severity 1 at that instant (RULES 3)."""
    found = []
    severity = 0
    for fact in _in_order(facts):
        if fact.type in (FactType.OPENED, FactType.SEVERITY_CHANGED):
            severity = fact.severity or severity
        elif fact.type is FactType.RESOLVED and fact.resolution_kind == "workaround" and severity == 1:
            found.append(fact)
    return found


def _in_order(facts: Iterable[Fact]) -> list[Fact]:
    """The opening (number 1), then the others by (occurred, number), none before the opening."""
    opening, *later = sorted(facts, key=lambda fact: fact.number)
    return [opening, *sorted(later, key=lambda fact: (max(fact.occurred_at, opening.occurred_at), fact.number))]
