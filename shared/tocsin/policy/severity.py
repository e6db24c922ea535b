"""The severity matrix: its criteria, a ticket's impact, and the severity it suggests (docs/rules.md#1-severity)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from tocsin.events import BusinessRisk, Fact, FactType, Impact, Workaround, WorkStoppage
from tocsin.yaml_document import Name, YamlModel


class SeverityCriteria(YamlModel):
    """The criteria of one severity. Each criterion that a ticket's impact meets is a vote for this severity."""

    name: Name
    """The name of the severity, such as `Critical`."""
    business_risk: BusinessRisk | None = None
    """The business risk that votes for this severity."""
    work_stoppage: WorkStoppage | None = None
    """The work stoppage that votes for this severity."""
    users_affected_percent_from: Annotated[int, Field(ge=0, le=100)] | None = None
    """The least percentage of affected users that votes for this severity. It must fall from severity 1 to 4."""
    workaround: Workaround | None = None
    """The state of the workaround that votes for this severity."""


@dataclass(frozen=True, slots=True)
class SeveritySuggestion:
    """The most severe vote, and whether all votes agree. Both are None if no criterion is stated."""

    severity: int | None
    fit: bool | None


def suggest_severity(matrix: Mapping[int, SeverityCriteria], impact: Impact) -> SeveritySuggestion:
    """Return the severity that the stated criteria of `impact` vote for (docs/rules.md#1-3, docs/rules.md#1-4)."""
    votes: set[int] = set()
    for criterion in ("business_risk", "work_stoppage", "workaround"):
        stated = getattr(impact, criterion)
        if stated is not None:
            votes |= {severity for severity, criteria in matrix.items() if getattr(criteria, criterion) == stated}
    percent = impact.users_affected_percent
    if percent is not None:
        reached = [severity for severity, criteria in matrix.items() if _reaches(criteria, percent)]
        votes |= set(sorted(reached)[:1])
    if not votes:
        return SeveritySuggestion(None, None)
    return SeveritySuggestion(min(votes), len(votes) == 1)


class RatedTicket(Protocol):
    """The part of a ticket, at its opening, that a dispute about its severity depends on."""

    @property
    def initial_severity(self) -> int: ...

    @property
    def impact(self) -> Impact | None: ...


def disputed_severity(matrix: Mapping[int, SeverityCriteria], ticket: RatedTicket, facts: Iterable[Fact]) -> int | None:
    """Return the suggested severity if the severity of the ticket is disputed, otherwise None (docs/rules.md#1-6).

    `facts` are those after the opening, in the order in which they apply. Any severity change settles the dispute: one
    to the same severity confirms it.
    """
    impact = ticket.impact
    for fact in facts:
        if fact.type is FactType.SEVERITY_CHANGED:
            return None
        if fact.type is FactType.ASSESSED:
            impact = fact.impact
    suggested = suggest_severity(matrix, impact or Impact()).severity
    return suggested if suggested is not None and suggested < ticket.initial_severity else None


def _reaches(criteria: SeverityCriteria, percent: float) -> bool:
    return criteria.users_affected_percent_from is not None and percent >= criteria.users_affected_percent_from
