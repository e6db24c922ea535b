"""How many mails may be claimed beside the attempts in flight, and which of them may use a connection."""

from dataclasses import replace

import pytest
from notifier.domain.delivery import Now
from notifier.domain.new_delivery import delivery_for, report_delivery
from notifier.handlers.claims import Claim, ClaimedMail
from notifier.workers.capacity import Attempt, Capacity, free_capacity, next_to_connect
from notifier.workers.circuit_breaker import CircuitState
from support.notifier_events import NOON, escalation, report_ready
from support.notifier_mails import READER

ANY, OF_TICKETS, URGENT = 5, 4, 1
REPORT = report_delivery(report_ready(), Now(NOON, NOON))


def attempts(count: int, *, severity: int = 3, is_probe: bool = False, **flags: bool) -> list[Attempt]:
    notify = escalation(severity=severity)
    delivery = replace(delivery_for(notify, Now(NOON, NOON)), severity=severity)
    mail = ClaimedMail(None, [Claim(delivery, notify, READER, (), (), ())], NOON)
    made = [Attempt(mail, is_probe, claim_began=0) for _ in range(count)]
    for each in made:
        for name, value in flags.items():
            setattr(each, name, value)
    return made


def connected(count: int, *, severity: int = 3, **flags: bool) -> list[Attempt]:
    made = attempts(count, severity=severity, **flags)
    for each in made:
        each.turn.set()
    return made


def test_mails_are_claimed_ahead_and_a_quarter_is_reserved_for_severity_1() -> None:
    assert free_capacity([], CircuitState.CLOSED, 16) == Capacity(36, ANY)
    assert free_capacity(attempts(36), CircuitState.CLOSED, 16) == Capacity(12, URGENT)
    assert free_capacity([*attempts(36), *attempts(12, severity=1)], CircuitState.CLOSED, 16) == Capacity(0, URGENT)


def test_an_attempt_that_only_saves_its_result_needs_no_connection() -> None:
    assert free_capacity(attempts(36, is_answered=True), CircuitState.CLOSED, 16) == Capacity(36, ANY)


def test_attempts_that_wait_for_a_server_that_hangs_make_room_for_others_within_bounds() -> None:
    assert free_capacity(attempts(12, is_stalled=True), CircuitState.CLOSED, 16) == Capacity(36, ANY)
    assert free_capacity(attempts(60, is_stalled=True), CircuitState.CLOSED, 16) == Capacity(4, ANY)
    assert free_capacity(attempts(64, is_stalled=True), CircuitState.CLOSED, 16) == Capacity(0, URGENT)


def test_the_free_connections_go_to_the_earliest_claims_except_those_reserved_for_severity_1() -> None:
    waiting = attempts(5)
    assert next_to_connect([*connected(10), *waiting], 16) == waiting[:2]
    assert next_to_connect([*connected(12), *waiting], 16) == []
    urgent = attempts(5, severity=1)
    assert next_to_connect([*connected(12), *waiting, *urgent], 16) == urgent[:4]
    assert next_to_connect([*connected(8), *waiting, *urgent], 16) == [*urgent, *waiting[:3]]


def test_a_connection_is_free_once_its_mail_is_answered_or_waits_for_a_server_that_hangs() -> None:
    waiting = attempts(1)
    assert next_to_connect([*connected(12, is_answered=True), *waiting], 16) == waiting
    assert next_to_connect([*connected(12, is_stalled=True), *waiting], 16) == waiting


@pytest.mark.parametrize("state", [CircuitState.HALF_OPEN, CircuitState.TRIAL])
def test_one_mail_at_a_time_probes(state: CircuitState) -> None:
    assert free_capacity([], state, 16) == Capacity(1, ANY)
    assert free_capacity(attempts(1, is_probe=True, is_stalled=True), state, 16) == Capacity(1, ANY)


def test_a_mail_of_severity_1_probes_beside_another_but_not_after_a_hang() -> None:
    probe = attempts(1, is_probe=True)
    assert free_capacity(probe, CircuitState.HALF_OPEN, 16) == Capacity(1, URGENT)
    assert free_capacity(probe, CircuitState.TRIAL, 16) == Capacity(0, URGENT)


def test_a_mail_of_severity_1_waits_for_the_envelope_of_another_probe_of_severity_1() -> None:
    connecting = attempts(1, severity=1, is_probe=True)
    in_data = attempts(1, severity=1, is_probe=True, is_connecting=False)
    assert free_capacity(connecting, CircuitState.HALF_OPEN, 16) == Capacity(0, URGENT)
    assert free_capacity(in_data, CircuitState.HALF_OPEN, 16) == Capacity(1, URGENT)


def test_one_report_at_a_time_is_in_flight_and_mails_about_tickets_go_on() -> None:
    report = Attempt(ClaimedMail(None, [Claim(REPORT, report_ready(), READER, (), (), ())], NOON), False, claim_began=0)
    assert free_capacity([report], CircuitState.CLOSED, 16) == Capacity(35, OF_TICKETS)
    report.is_answered = True
    assert free_capacity([report], CircuitState.CLOSED, 16) == Capacity(36, ANY)


def test_nothing_starts_during_a_pause() -> None:
    assert free_capacity([], CircuitState.OPEN, 16) == Capacity(0, URGENT)
