"""The state of a ticket: what its facts so far have made of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tocsin.events import Assignee, Fact, FactType, Impact
from tocsin.lifecycle import in_order, status_of
from tocsin.policy import Policy, disputed_severity, suggest_severity

STATE_TYPES: Final = (
    FactType.OPENED,
    FactType.SEVERITY_CHANGED,
    FactType.RESOLVED,
    FactType.REOPENED,
    FactType.CANCELLED,
    FactType.ASSESSED,
    FactType.ASSIGNED,
)
"""The facts that decide a ticket's state."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a ticket stated at its opening and facts may change."""

    initial_severity: int
    impact: Impact | None = None
    assignee: Assignee | None = None


@dataclass(frozen=True, slots=True)
class CurrentTicketState:
    """The state of a ticket; `impact` and `assignee` are the latest.

    `suggested_severity` and `fit` follow from the impact (docs/rules.md#1-3). `is_disputed`: the severity is less
    severe than suggested, and no representative has set or confirmed one (docs/rules.md#1-6).
    """

    severity: int
    is_open: bool
    impact: Impact | None
    suggested_severity: int | None
    fit: bool | None
    is_disputed: bool
    assignee: Assignee | None


def state_of(policy: Policy, opening: Opening, facts: Iterable[Fact]) -> CurrentTicketState:
    """The state after these facts, given in any order: all of STATE_TYPES, and any others."""
    _, *later = ordered = in_order(facts)
    status = status_of(ordered)
    impacts = [opening.impact, *(fact.impact for fact in later if fact.type is FactType.ASSESSED)]
    assignees = [opening.assignee, *(fact.assignee for fact in later if fact.type is FactType.ASSIGNED)]
    suggestion = suggest_severity(policy.severities, impacts[-1] or Impact())
    return CurrentTicketState(
        severity=status.severity,
        is_open=not status.closed,
        impact=impacts[-1],
        suggested_severity=suggestion.severity,
        fit=suggestion.fit,
        is_disputed=disputed_severity(policy.severities, opening, later) is not None,
        assignee=assignees[-1],
    )
