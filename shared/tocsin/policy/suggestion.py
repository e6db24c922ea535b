"""The severity matrix at work: a suggestion, never a verdict (RULES 1)."""

from dataclasses import dataclass

from tocsin.policy.model import Policy
from tocsin.policy.severity import Impact, SeverityCriteria


@dataclass(frozen=True, slots=True)
class SeveritySuggestion:
    """The most severe vote, and whether all votes agree; both None where nothing votes."""

    severity: int | None
    fit: bool | None


def suggest_severity(policy: Policy, impact: Impact) -> SeveritySuggestion:
    """Let each criterion of `impact` that is given vote by the policy's matrix."""
    matrix = policy.severities
    votes: set[int] = set()
    for field in ("business_risk", "work_stoppage", "workaround"):
        word = getattr(impact, field)
        if word is not None:
            votes |= {severity for severity, criteria in matrix.items() if getattr(criteria, field) == word}
    percent = impact.users_affected_percent
    if percent is not None:
        reached = [severity for severity, criteria in matrix.items() if _reaches(criteria, percent)]
        votes |= set(sorted(reached)[:1])
    if not votes:
        return SeveritySuggestion(None, None)
    return SeveritySuggestion(min(votes), len(votes) == 1)


def _reaches(criteria: SeverityCriteria, percent: float) -> bool:
    return criteria.users_affected_percent_from is not None and percent >= criteria.users_affected_percent_from
