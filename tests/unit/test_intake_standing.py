"""What intake knows of a ticket's story: severity and state by the facts' order, and the workaround it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.ticket_state import Standing, impossible_workarounds, standing
from tocsin.events import Fact, FactType

NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
RECEIVED = NOON + timedelta(days=1)


def fact(number: int, type: str, minutes: int = 0, **more: Any) -> Fact:
    return Fact(
        number=number,
        event_id=f"e{number}",
        type=FactType(type),
        occurred_at=NOON + timedelta(minutes=minutes),
        received_at=RECEIVED,
        **more,
    )


def opened(severity: int) -> Fact:
    return fact(1, "opened", severity=severity)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], Standing(3, True)),
        ([fact(2, "severity_changed", 10, severity=1)], Standing(1, True)),
        ([fact(2, "severity_changed", 10, severity=1), fact(3, "severity_changed", 5, severity=2)], Standing(1, True)),
        ([fact(2, "severity_changed", 5, severity=1), fact(3, "severity_changed", 5, severity=2)], Standing(2, True)),
        ([fact(2, "severity_changed", -60, severity=1)], Standing(1, True)),
        ([fact(2, "resolved", 5, resolution_kind="workaround")], Standing(3, False)),
        ([fact(2, "resolved", 5), fact(3, "reopened", 6)], Standing(3, True)),
        ([fact(2, "reopened", 6), fact(3, "resolved", 5)], Standing(3, True)),
        ([fact(2, "cancelled", 5), fact(3, "severity_changed", 6, severity=4)], Standing(4, False)),
        ([fact(2, "responded", 5), fact(3, "paused", 6)], Standing(3, True)),
        (
            [fact(2, "resolved", 5, resolution_kind="workaround"), fact(3, "severity_changed", 4, severity=1)],
            Standing(1, True),
        ),
    ],
)
def test_facts_apply_in_the_order_of_their_occurrence(later: list[Fact], expected: Standing) -> None:
    assert standing([opened(3), *later]) == expected


facts_in_a_day = st.lists(
    st.tuples(
        st.sampled_from(["severity_changed", "resolved", "cancelled", "reopened"]),
        st.integers(-5, 60),
        st.integers(1, 4),
    ),
    max_size=8,
)


@given(facts_in_a_day, st.randoms())
def test_the_order_of_arrival_does_not_matter(drawn: list[tuple[str, int, int]], random: Any) -> None:
    facts = [opened(2)] + [
        fact(number, kind, minutes, severity=severity) for number, (kind, minutes, severity) in enumerate(drawn, 2)
    ]
    shuffled = facts[:]
    random.shuffle(shuffled)
    assert standing(shuffled) == standing(facts)


@pytest.mark.parametrize(
    ("initial", "changes", "refused"),
    [
        (1, [], True),
        (2, [], False),
        (2, [fact(2, "severity_changed", 30, severity=1)], True),
        (1, [fact(2, "severity_changed", 30, severity=2)], False),
        (1, [fact(2, "severity_changed", 31, severity=2)], True),
        (2, [fact(2, "severity_changed", 31, severity=1)], False),
        (2, [fact(2, "cancelled", 10), fact(3, "severity_changed", 20, severity=1)], True),
    ],
)
def test_a_workaround_is_judged_by_the_severity_at_its_instant(
    initial: int, changes: list[Fact], refused: bool
) -> None:
    workaround = fact(9, "resolved", 30, resolution_kind="workaround")
    found = impossible_workarounds([workaround, *changes, opened(initial)])
    assert found == ([workaround] if refused else [])


def test_a_resolve_is_never_refused() -> None:
    resolve = fact(2, "resolved", 30, resolution_kind="resolved")
    assert not impossible_workarounds([opened(1), resolve])
