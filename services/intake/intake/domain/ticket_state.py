"""What intake itself must know of a ticket's story: its severity, and whether it is open. The rest is sla-timer's.

Pure.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tocsin.events import Fact, FactType

TELLING = (FactType.OPENED, FactType.SEVERITY_CHANGED, FactType.RESOLVED, FactType.REOPENED, FactType.CANCELLED)
"""The types of the facts that decide it."""


class Standing(NamedTuple):
    """`severity` is the effective one (RULES 1)."""

    severity: int
    is_open: bool


class Story(NamedTuple):
    """`ended_by` is what closed the ticket, null while it is open; `cycle` counts from 1 with each reopening."""

    severity: int
    cycle: int
    ended_by: Fact | None
    reopened_at: datetime | None


def opening_fact(severity: int, occurred_at: datetime, received_at: datetime, actor: str) -> Fact:
    """The fact that a ticket begins with; `actor` is who opened it."""
    return Fact(
        number=1,
        event_id="opened",
        type=FactType.OPENED,
        occurred_at=occurred_at,
        received_at=received_at,
        actor=actor,
        severity=severity,
    )


def standing(facts: Iterable[Fact]) -> Standing:
    """How the ticket stands after its facts (see `story`)."""
    told = story(facts)
    return Standing(told.severity, told.ended_by is None)


def story(facts: Iterable[Fact]) -> Story:
    """What has become of the ticket.

    `facts` are in any order and hold the opening (number 1). They apply in the order of (occurred, number), none before
    the opening; what is impossible at its instant changes nothing (RULES, introduction).
    """
    opening, *later = in_order(facts)
    told = Story(opening.severity or 0, 1, None, None)
    for fact in later:
        match fact.type:
            case FactType.SEVERITY_CHANGED:
                told = told._replace(severity=fact.severity or told.severity)
            case FactType.RESOLVED if told.severity == 1 and fact.resolution_kind == "workaround":
                continue
            case FactType.RESOLVED | FactType.CANCELLED if told.ended_by is None:
                told = told._replace(ended_by=fact)
            case FactType.REOPENED if told.ended_by is not None:
                told = told._replace(cycle=told.cycle + 1, ended_by=None, reopened_at=fact.occurred_at)
    return told


def impossible_workarounds(facts: Iterable[Fact]) -> list[Fact]:
    """The workarounds on what these facts know to be severity 1 at that instant (RULES 3)."""
    found = []
    severity = 0
    for fact in in_order(facts):
        if fact.type in (FactType.OPENED, FactType.SEVERITY_CHANGED):
            severity = fact.severity or severity
        elif fact.type is FactType.RESOLVED and fact.resolution_kind == "workaround" and severity == 1:
            found.append(fact)
    return found


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """The opening (number 1), then the others by (occurred, number), none before the opening (RULES, introduction)."""
    opening, *later = sorted(facts, key=lambda fact: fact.number)
    return [opening, *sorted(later, key=lambda fact: (max(fact.occurred_at, opening.occurred_at), fact.number))]
