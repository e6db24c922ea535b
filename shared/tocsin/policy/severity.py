"""The severity matrix: its criteria, a ticket's impact, and the severity it suggests (docs/rules.md#1-severity)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tocsin.events import FrozenModel
from tocsin.yaml_document import Name, YamlModel

BusinessRisk = Literal["catastrophic", "major", "moderate", "minimal"]
WorkStoppage = Literal["full", "significant", "some", "minor"]
Workaround = Literal["none", "semi_acceptable", "acceptable"]


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


class Impact(FrozenModel):
    """What is known of a ticket's impact. Any criterion may be missing."""

    business_risk: BusinessRisk | None = None
    work_stoppage: WorkStoppage | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    workaround: Workaround | None = None


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


def _reaches(criteria: SeverityCriteria, percent: float) -> bool:
    return criteria.users_affected_percent_from is not None and percent >= criteria.users_affected_percent_from
