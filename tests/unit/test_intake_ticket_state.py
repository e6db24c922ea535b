"""The state of a ticket in intake: severity, suggestion, dispute, assignee (docs/rules.md#1-severity)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from intake.domain.ticket_state import CurrentTicketState, Opening, state_of
from tocsin.events import Assignee, Fact, FactType, Impact
from tocsin.policy import Policy, load_policy

SHIPPED = Path(__file__).parents[2] / "deploy" / "policy" / "policy.yaml"
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
MAJOR = Impact(business_risk="major")  # suggests severity 2
MINIMAL = Impact(business_risk="minimal")  # suggests severity 4
RUTH = Assignee(name="Ruth", email="ruth@msp.example")
BOB = Assignee(name="Bob")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(SHIPPED.read_text(), "policy.yaml")


class Story:
    """Facts of a ticket of severity 3, opened at noon; `add` numbers them in the order of receipt."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.facts = [
            Fact(
                number=1,
                event_id="opened",
                type=FactType.OPENED,
                occurred_at=NOON,
                received_at=NOON,
                severity=opening.initial_severity,
            )
        ]

    def add(
        self,
        type_: FactType,
        minutes: int,
        *,
        severity: int | None = None,
        impact: Impact | None = None,
        assignee: Assignee | None = None,
    ) -> "Story":
        number = len(self.facts) + 1
        at = NOON + timedelta(minutes=minutes)
        self.facts.append(
            Fact(
                number=number,
                event_id=f"e{number}",
                type=type_,
                occurred_at=at,
                received_at=NOON + timedelta(days=1),
                severity=severity,
                impact=impact,
                assignee=assignee,
            )
        )
        return self

    def orders(self) -> Iterator[Sequence[Fact]]:
        return permutations(self.facts)


def state(policy: Policy, story: Story) -> CurrentTicketState:
    """The state after the story, which any order of its facts leads to."""
    found = {state_of(policy, story.opening, facts) for facts in story.orders()}
    assert len(found) == 1
    return found.pop()


def story(severity: int = 3, impact: Impact | None = None, assignee: Assignee | None = None) -> Story:
    return Story(Opening(severity, impact, assignee))


@pytest.mark.rule("1.5")
def test_the_suggestion_does_not_change_the_severity(policy: Policy) -> None:
    found = state(policy, story(4, Impact(business_risk="major", users_affected_percent=75)))
    assert (found.severity, found.suggested_severity, found.fit) == (4, 1, False)
    without = state(policy, story())
    assert (without.suggested_severity, without.fit, without.is_disputed) == (None, None, False)


@pytest.mark.rule("1.6")
@pytest.mark.parametrize(("severity", "is_disputed"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_severity_less_severe_than_suggested_is_disputed(policy: Policy, severity: int, is_disputed: bool) -> None:
    assert state(policy, story(severity, MAJOR)).is_disputed is is_disputed


@pytest.mark.rule("1.6")
@pytest.mark.parametrize("severity", [1, 2, 3, 4])
def test_a_representative_who_sets_or_confirms_a_severity_settles_the_dispute(policy: Policy, severity: int) -> None:
    confirmed = story(impact=MAJOR).add(FactType.SEVERITY_CHANGED, 10, severity=severity)
    found = state(policy, confirmed)
    assert (found.severity, found.suggested_severity, found.is_disputed) == (severity, 2, False)
    assert not state(policy, confirmed.add(FactType.ASSESSED, 20, impact=Impact(work_stoppage="full"))).is_disputed


@pytest.mark.rule("1.6", "1.7")
def test_a_later_assessment_starts_and_ends_a_dispute(policy: Policy) -> None:
    assessed = story().add(FactType.ASSESSED, 10, impact=MAJOR)
    found = state(policy, assessed)
    assert (found.impact, found.suggested_severity, found.fit, found.is_disputed) == (MAJOR, 2, True, True)
    found = state(policy, assessed.add(FactType.RESOLVED, 15).add(FactType.ASSESSED, 20, impact=MINIMAL))
    assert (found.impact, found.suggested_severity, found.is_disputed) == (MINIMAL, 4, False)
    assert (found.severity, found.is_open) == (3, False)


@pytest.mark.rule("1.7")
def test_the_assessment_that_occurred_last_counts(policy: Policy) -> None:
    late = story(impact=MINIMAL).add(FactType.ASSESSED, 20, impact=MAJOR).add(FactType.ASSESSED, 10, impact=MINIMAL)
    assert state(policy, late).impact == MAJOR
    one_instant = late.add(FactType.ASSESSED, 20, impact=Impact(work_stoppage="some"))
    assert state(policy, one_instant).suggested_severity == 3


@pytest.mark.rule("0.10")
def test_the_assignment_that_occurred_last_counts(policy: Policy) -> None:
    assert state(policy, story(assignee=RUTH)).assignee == RUTH
    handed_over = story(assignee=RUTH).add(FactType.ASSIGNED, 20, assignee=BOB).add(FactType.ASSIGNED, 10)
    assert state(policy, handed_over).assignee == BOB
    assert state(policy, handed_over.add(FactType.ASSIGNED, 30)).assignee is None
