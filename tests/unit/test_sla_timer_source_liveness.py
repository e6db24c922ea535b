"""When intake counts as silent: after an unbroken row of probes that found nothing new, and not before."""

from datetime import UTC, datetime

import pytest
from sla_timer.domain.source_liveness import ReadPosition, SourceLiveness

AT = datetime(2026, 6, 8, 12, tzinfo=UTC)
READ = {0: ReadPosition(10, AT), 1: ReadPosition(7, AT)}
ENDS = {0: 10, 1: 7}


def probed(liveness: SourceLiveness, *instants: float) -> SourceLiveness:
    """The liveness after probes at these instants found everything read and nothing new."""
    for at in instants:
        liveness = liveness.probed(at, ends=ENDS, positions=READ)
    return liveness


def silent(liveness: SourceLiveness, at: float) -> frozenset[int]:
    return liveness.silent_partitions(at, seconds=90)


@pytest.mark.rule("4.22")
def test_intake_is_silent_after_unbroken_probes_that_found_nothing_new() -> None:
    liveness = probed(SourceLiveness(), *range(0, 95, 5))
    assert silent(liveness, 94) == set()  # the first probe had nothing to compare with: the count began at 5
    assert silent(liveness, 95) == {0, 1}


@pytest.mark.rule("4.22")
def test_a_failed_probe_restarts_the_count() -> None:
    liveness = probed(SourceLiveness(), 90, 95)
    assert silent(liveness, 180) == set()
    assert silent(liveness, 185) == {0, 1}


def test_a_partition_with_an_unread_record_is_not_silent() -> None:
    liveness = probed(SourceLiveness(), 0, 5)
    liveness = probed(liveness.probed(50, ends={0: 11, 1: 7}, positions=READ), 55)
    assert silent(liveness, 100) == {1}
    assert silent(liveness, 145) == {0, 1}


def test_a_watermark_breaks_the_silence() -> None:
    later = {0: ReadPosition(11, AT), 1: ReadPosition(7, AT)}
    liveness = probed(SourceLiveness(), 0, 5).probed(10, ends={0: 11, 1: 7}, positions=later)
    assert silent(liveness, 1000) == {1}


def test_a_partition_that_kafka_does_not_know_is_not_silent() -> None:
    liveness = SourceLiveness()
    for at in (0, 5):
        liveness = liveness.probed(at, ends={0: 10}, positions=READ)
    assert silent(liveness, 1000) == {0}


def test_a_probe_changes_no_earlier_liveness() -> None:
    before = probed(SourceLiveness(), 0, 5)
    probed(before, 10)
    before.probed(15, ends={}, positions={})
    assert before == probed(SourceLiveness(), 0, 5)
