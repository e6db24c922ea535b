"""Business time: a mapping from real instants that never runs backwards."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tocsin.runtime.process.clock import BusinessClock, FileClock, clock_from
from tocsin.runtime.process.settings import ClockSettings

ORIGIN = datetime(2026, 6, 8, 12, tzinfo=UTC)
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


def test_business_time_is_real_time_by_default() -> None:
    clock = clock_from(ClockSettings())
    assert clock.business(ORIGIN + timedelta(microseconds=1)) == ORIGIN + timedelta(microseconds=1)
    assert clock.rate == 1


def test_a_rate_of_3600_passes_an_hour_per_second() -> None:
    clock = BusinessClock(EPOCH, ORIGIN, 3600)
    assert clock.business(ORIGIN + timedelta(seconds=2)) == EPOCH + timedelta(hours=2)
    assert clock.business(ORIGIN - timedelta(seconds=1)) == EPOCH - timedelta(hours=1)
    assert clock.lateness(EPOCH, EPOCH + timedelta(hours=2)) == timedelta(seconds=2)


def test_a_clock_file_only_moves_forward(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_text("2026-06-08T12:00:00Z 2030-01-01T00:00:00Z 0\n")
    clock = clock_from(ClockSettings(clock_file=path))
    assert clock.business(ORIGIN + timedelta(days=1)) == EPOCH
    with path.open("a") as file:
        file.write("2026-06-08T13:00:00Z 2030-01-02T00:00:00Z 60\n2026-06-08T14:00:00Z 2030-01-01T00:00:00Z 0")
    one = ORIGIN + timedelta(hours=1)
    assert clock.business(one - timedelta(microseconds=1)) == EPOCH
    assert clock.business(one) == EPOCH + timedelta(days=1)
    assert clock.business(one + timedelta(minutes=90)) == EPOCH + timedelta(
        days=1, hours=90
    )  # the last line is incomplete
    with path.open("a") as file:
        file.write("\n")
    assert clock.business(one + timedelta(minutes=90)) == EPOCH + timedelta(days=1, hours=60)  # it does not go back
    assert clock.lateness(EPOCH, EPOCH + timedelta(hours=1)) == timedelta(hours=1)


def test_a_clock_file_without_a_complete_line_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    path.write_text("2026-06-08T12:00:00Z 2030")
    with pytest.raises(ValueError, match="no complete line"):
        FileClock(path).now()
