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
