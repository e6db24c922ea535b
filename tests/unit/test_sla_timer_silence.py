"""When intake counts as gone: unbroken proof, and nothing less."""

from datetime import UTC, datetime

from sla_timer.domain.source_liveness import Silence
from tocsin.runtime.database.offsets import Position

AT = datetime(2026, 6, 8, 12, tzinfo=UTC)
READ = {0: Position(10, AT), 1: Position(7, AT)}
ENDS = {0: 10, 1: 7}


def probed(silence: Silence, *instants: float) -> None:
    for at in instants:
        silence.observe(at, ENDS, READ)


def test_intake_is_gone_after_unbroken_probes_that_found_nothing_new() -> None:
    silence = Silence(90)
    probed(silence, *range(0, 95, 5))
    assert silence.silent(94) == set()  # the first probe saw nothing unchanged yet: the count began at 5
    assert silence.silent(95) == {0, 1}


def test_one_probe_that_failed_begins_the_count_again() -> None:
    silence = Silence(90)
    probed(silence, *range(0, 90, 5))
    silence.broken()
    probed(silence, 90, 95)
    assert silence.silent(180) == set()
    assert silence.silent(185) == {0, 1}


def test_a_partition_with_something_unread_is_not_silent() -> None:
    silence = Silence(90)
    probed(silence, 0, 5)
    silence.observe(50, {0: 11, 1: 7}, READ)
    probed(silence, 55)
    assert silence.silent(100) == {1}
    assert silence.silent(145) == {0, 1}


def test_progress_among_what_was_read_breaks_the_silence() -> None:
    silence = Silence(90)
    probed(silence, 0, 5)
    later = {0: Position(11, AT), 1: Position(7, AT)}
    silence.observe(10, {0: 11, 1: 7}, later)
    assert silence.silent(1000) == {1}


def test_a_partition_that_the_bus_does_not_know_is_not_silent() -> None:
    silence = Silence(90)
    for at in (0, 5):
        silence.observe(at, {0: 10}, READ)
    assert silence.silent(1000) == {0}
