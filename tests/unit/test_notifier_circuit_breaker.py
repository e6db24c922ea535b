"""A failing mail server is left alone for growing pauses; the first success closes its circuit."""

import pytest
from notifier.workers import circuit_breaker
from notifier.workers.circuit_breaker import CircuitBreaker, CircuitState


class FakeTime:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(circuit_breaker, "time", fake)
    return fake


def state_of(circuit: CircuitBreaker) -> CircuitState:
    return circuit.state


def test_a_new_server_is_probed_first(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    assert state_of(circuit) is CircuitState.HALF_OPEN
    circuit.succeed()
    assert state_of(circuit) is CircuitState.CLOSED


def test_a_failure_opens_the_circuit_for_a_pause(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    circuit.succeed()
    pause = circuit.fail()
    assert pause is not None
    assert 0.25 <= pause <= 0.5
    assert state_of(circuit) is CircuitState.OPEN
    time.now += pause
    assert state_of(circuit) is CircuitState.HALF_OPEN


def test_pauses_grow_to_half_a_minute_and_start_again_after_a_success(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    pauses = []
    for _ in range(10):
        pause = circuit.fail()
        assert pause is not None
        pauses.append(pause)
        time.now += pause
    for number, pause in enumerate(pauses):
        whole = min(30, 0.5 * 2**number)
        assert whole / 2 <= pause <= whole
    circuit.succeed()
    assert (circuit.fail() or 1) <= 0.5


def test_failures_during_a_pause_do_not_prolong_it(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    pause = circuit.fail()
    assert pause is not None
    assert [circuit.fail() for _ in range(5)] == [None] * 5
    time.now += pause
    assert state_of(circuit) is CircuitState.HALF_OPEN
    assert circuit.failures == 1


def test_after_a_hang_single_mails_are_tried_until_one_is_answered(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    circuit.succeed()
    pause = circuit.hang(time.now)
    assert pause is not None
    assert (circuit.is_hung, state_of(circuit)) == (True, CircuitState.OPEN)
    time.now += pause
    assert state_of(circuit) is CircuitState.TRIAL
    circuit.begin_trial()
    assert state_of(circuit) is CircuitState.OPEN, "another server accepts mails, so the next trial is not soon"
    circuit.succeed()
    assert (circuit.is_hung, state_of(circuit)) == (False, CircuitState.CLOSED)


def test_trials_are_frequent_at_first(time: FakeTime) -> None:
    """A trial takes two seconds to fail, so mail flows within five seconds after a hang of half a minute."""
    circuit, began = CircuitBreaker(), time.now
    while time.now - began < 30:
        pause = circuit.hang(time.now)
        assert pause is not None
        assert pause <= 3
        time.now += pause + 2
    while time.now - began < 600:
        time.now += circuit.hang(time.now) or 0
    assert (circuit.hang(time.now) or 0) >= 15


def test_a_hang_long_ago_counts_as_any_other_failure(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    circuit.hang(time.now)
    time.now += 601
    assert (circuit.is_hung, state_of(circuit)) == (False, CircuitState.HALF_OPEN)


def test_mails_that_began_before_the_hang_do_not_prolong_it(time: FakeTime) -> None:
    circuit = CircuitBreaker()
    began_at = time.now
    time.now += 5
    pause = circuit.hang(began_at)
    assert pause is not None
    time.now += pause
    assert circuit.hang(began_at + 1) is None
    assert (circuit.failures, state_of(circuit)) == (1, CircuitState.TRIAL)
