"""Which batches wait in memory, and when they must be stored."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tocsin.events import InvalidEventError
from tocsin.runtime.kafka import unstored_batches
from tocsin.runtime.kafka.records import DecodedRecord, PartitionBatch
from tocsin.runtime.kafka.unstored_batches import UnstoredBatches

AT = datetime(2026, 6, 8, 12, tzinfo=UTC)
LATER = AT + timedelta(seconds=1)


def watermark(first: int, next_offset: int, at: datetime | None, partition: int = 0) -> PartitionBatch:
    return PartitionBatch(partition, first, next_offset, [], at)


def waiting(*batches: PartitionBatch, due: datetime | None = None) -> UnstoredBatches:
    """Batches of partition 0, where something is due at `due`."""
    unstored = UnstoredBatches()
    unstored.set_due([0], {0: due})
    for batch in batches:
        unstored.add([batch])
    return unstored


def test_consecutive_watermarks_become_one_batch() -> None:
    unstored = waiting(watermark(5, 6, AT), watermark(6, 9, LATER))
    assert not unstored.must_store()
    assert unstored.take() == [watermark(5, 9, LATER)]
    assert unstored.take() == []
    assert not unstored.must_store()


def test_a_watermark_never_goes_back() -> None:
    assert waiting(watermark(5, 6, LATER), watermark(6, 7, AT)).take() == [watermark(5, 7, LATER)]
    assert waiting(watermark(5, 6, LATER), watermark(6, 7, None)).take() == [watermark(5, 7, LATER)]


def test_a_batch_that_does_not_follow_replaces_the_one_before() -> None:
    assert waiting(watermark(5, 6, LATER), watermark(3, 4, AT)).take() == [watermark(3, 4, AT)]
    assert waiting(watermark(5, 6, LATER), watermark(7, 8, AT)).take() == [watermark(7, 8, AT)]


@pytest.mark.parametrize(("due", "is_urgent"), [(LATER, False), (AT + timedelta(microseconds=1), False), (AT, True)])
def test_a_watermark_that_something_waits_for_is_stored_at_once(due: datetime, is_urgent: bool) -> None:
    assert waiting(watermark(5, 6, AT), due=due).must_store() == is_urgent


def test_a_partition_of_which_nothing_is_known_is_stored_at_once() -> None:
    unstored = waiting(watermark(5, 6, AT))
    unstored.add([watermark(0, 1, AT, partition=1)])
    assert unstored.must_store()
    assert [batch.partition for batch in unstored.take()] == [0, 1]
    unstored.set_due([0, 1], {1: LATER})
    unstored.add([watermark(1, 2, AT, partition=1)])
    assert not unstored.must_store()
    unstored.add([watermark(6, 7, AT)])
    assert unstored.must_store()


def test_events_are_stored_at_once_together_with_the_watermarks_before_them() -> None:
    unstored = waiting(watermark(5, 6, AT))
    event = DecodedRecord(None, InvalidEventError("any"))  # type: ignore[arg-type]  # the record is not looked at
    unstored.add([replace(watermark(6, 7, None), records=[event])])
    assert unstored.must_store()
    assert unstored.take() == [PartitionBatch(0, 5, 7, [event], AT)]


def test_watermarks_do_not_wait_longer_than_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    unstored = waiting(watermark(5, 6, AT))
    monkeypatch.setattr(unstored_batches, "STORE_SECONDS", 0.0)
    assert unstored.must_store()
