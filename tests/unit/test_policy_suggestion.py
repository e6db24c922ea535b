"""The severity matrix: each criterion votes, and the most severe vote wins (docs/rules.md#1-3)."""

from pathlib import Path

import pytest
from tocsin.events import Impact
from tocsin.policy import SeveritySuggestion, suggest_severity
from tocsin.sources.policy_file import read_policy

POLICY = read_policy(Path(__file__).parents[2] / "deploy/policy/policy.yaml")


@pytest.mark.rule("1.3", "1.4")
@pytest.mark.parametrize(
    ("impact", "severity", "fit"),
    [
        (Impact(), None, None),
        (Impact(business_risk="catastrophic"), 1, True),
        (Impact(business_risk="major", work_stoppage="significant", workaround="semi_acceptable"), 2, True),
        (Impact(business_risk="moderate", work_stoppage="some", users_affected_percent=20), 3, True),
        (Impact(business_risk="minimal", work_stoppage="minor", workaround="acceptable"), 4, True),
        (Impact(business_risk="minimal", work_stoppage="full"), 1, False),
        (Impact(work_stoppage="some", workaround="acceptable"), 3, False),
        (Impact(workaround="none"), 1, True),
    ],
)
def test_the_most_severe_vote_wins(impact: Impact, severity: int | None, fit: bool | None) -> None:
    assert suggest_severity(POLICY.severities, impact) == SeveritySuggestion(severity, fit)


@pytest.mark.rule("1.3")
@pytest.mark.parametrize(
    ("percent", "severity"),
    [(100, 1), (75, 1), (74.999, 2), (30, 2), (29.999, 3), (15, 3), (14.999, 4), (0.5, 4), (0, 4)],
)
def test_the_percentage_of_affected_users_is_in_half_open_ranges(percent: float, severity: int) -> None:
    assert suggest_severity(POLICY.severities, Impact(users_affected_percent=percent)) == SeveritySuggestion(
        severity, True
    )
