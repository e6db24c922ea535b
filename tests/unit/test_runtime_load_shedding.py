"""Load shedding: calls are admitted by their expected wait, and what was shed is logged once a second."""

from typing import Any

import pytest
from support.polling import eventually
from tocsin.runtime.http.load_shedding import Admission, CountedLog


class Clock:
    """The monotonic clock of the module under test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("tocsin.runtime.http.load_shedding.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def fill(admission: Admission) -> int:
    """How many more calls are admitted."""
    return next(number for number in range(10_000) if not admission.enter())


def complete(admission: Admission, clock: Clock, count: int, each_takes: float) -> None:
    """Complete calls one after the other; a new one follows each."""
    for _ in range(count):
        clock.now += each_takes
        admission.leave()
        assert admission.enter()


def test_until_a_rate_is_measured_the_largest_number_is_admitted(clock: Clock) -> None:
    admission = Admission(seconds=1, always=10, most=50)
    assert fill(admission) == 50


@pytest.mark.parametrize(("each_takes", "admitted"), [(0.001, 200), (0.01, 100), (0.05, 20), (1.0, 10)])
def test_the_measured_rate_decides_how_many_are_admitted(clock: Clock, each_takes: float, admitted: int) -> None:
    """One second divided by the time of each, between the number admitted in any case and the largest number."""
    admission = Admission(seconds=1, always=10, most=200)
    for _ in range(10):
        admission.enter()
    complete(admission, clock, 2000, each_takes)
    assert abs(10 + fill(admission) - admitted) <= 1
    assert admission.expected_wait <= max(1.01, 11 * each_takes) + each_takes


def test_the_pace_of_few_callers_is_not_taken_for_the_rate(clock: Clock) -> None:
    admission = Admission(seconds=1, always=10, most=50)
    admission.enter()
    complete(admission, clock, 100, each_takes=0.5)
    assert fill(admission) == 49


def test_a_rate_is_forgotten_soon_after_the_server_became_faster(clock: Clock) -> None:
    admission = Admission(seconds=1, always=10, most=200)
    for _ in range(10):
        admission.enter()
    complete(admission, clock, 50, each_takes=0.1)
    assert fill(admission) == 0
    for _ in range(3000):
        clock.now += 0.002
        admission.leave()
        admission.enter()
    assert 10 + fill(admission) == 200


async def test_events_of_a_second_are_one_line_with_their_count() -> None:
    lines: list[tuple[str, dict[str, Any]]] = []
    counted = CountedLog(lambda event, **fields: lines.append((event, fields)))
    for number in range(5):
        counted.add("shed", number=number)
    counted.add("other")
    assert lines == [("shed", {"count": 1, "number": 0}), ("other", {"count": 1})]
    await eventually(lambda: len(lines) == 3)
    assert lines[2] == ("shed", {"count": 4, "number": 4})
