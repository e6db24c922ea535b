"""The clock of a stack: requested by the environment, kept with the state."""

from datetime import UTC, datetime

import pytest
from tocsin_local.clock import StackClock, check_unchanged, new_clock, requested_clock
from tocsin_local.errors import LocalError, StateRefusedError

NOW = datetime(2026, 6, 8, 12, 0, 0, 5, tzinfo=UTC)


def test_by_default_business_time_is_real_time() -> None:
    assert new_clock(requested_clock({}), NOW) == StackClock(
        "2026-06-08T12:00:00.000005Z", 1.0, "2026-06-08T12:00:00.000005Z"
    )


def test_an_epoch_begins_at_the_first_start() -> None:
    wanted = requested_clock({"TOCSIN_CLOCK_EPOCH": "2026-01-01T01:00:00+01:00", "TOCSIN_CLOCK_RATE": "3600"})
    assert new_clock(wanted, NOW) == StackClock("2026-01-01T00:00:00.000000Z", 3600.0, "2026-06-08T12:00:00.000005Z")


def test_a_state_keeps_its_clock_if_none_or_the_same_is_requested() -> None:
    kept = StackClock("2026-01-01T00:00:00.000000Z", 3600.0, "2026-06-08T12:00:00.000005Z")
    check_unchanged(kept, requested_clock({}))
    check_unchanged(
        kept, requested_clock({"TOCSIN_CLOCK_EPOCH": "2026-01-01T00:00:00Z", "TOCSIN_CLOCK_RATE": "3600.0"})
    )


@pytest.mark.parametrize(
    "other",
    [
        {"TOCSIN_CLOCK_EPOCH": "2026-01-01T00:00:01Z"},
        {"TOCSIN_CLOCK_RATE": "1"},
        {"TOCSIN_CLOCK_ORIGIN": "2026-06-08T12:00:00Z"},
    ],
)
def test_a_state_refuses_another_clock(other: dict[str, str]) -> None:
    kept = StackClock("2026-01-01T00:00:00.000000Z", 3600.0, "2026-06-08T12:00:00.000005Z")
    with pytest.raises(StateRefusedError, match=next(iter(other))):
        check_unchanged(kept, requested_clock(other))


@pytest.mark.parametrize(
    "wrong",
    [
        {"TOCSIN_CLOCK_EPOCH": "tomorrow"},
        {"TOCSIN_CLOCK_EPOCH": "2026-06-08T12:00:00"},
        {"TOCSIN_CLOCK_RATE": "fast"},
        {"TOCSIN_CLOCK_RATE": "-1"},
        {"TOCSIN_CLOCK_RATE": "inf"},
    ],
)
def test_an_invalid_value_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(LocalError, match=next(iter(wrong))):
        requested_clock(wrong)
