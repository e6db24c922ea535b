"""Batches that were read and are not stored yet: watermarks alone are stored once a second, not one by one."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tocsin.runtime.kafka.records import PartitionBatch

STORE_SECONDS: Final = 1.0


class UnstoredBatches:
    """Joins what is read of each partition until something needs to be stored: see `must_store`.

    Only the replica that holds a partition's lease has such a memory of it, and losing it is harmless: the same
    watermarks are read again.
    """

    def __init__(self) -> None:
        self._batches: dict[int, PartitionBatch] = {}
        self._since = 0.0
        self._due: dict[int, datetime | None] = {}

    def add(self, batches: Sequence[PartitionBatch]) -> None:
        """Join new batches with those before. A batch that does not follow the one before replaces it."""
        if not self._batches:
            self._since = time.monotonic()
        for batch in batches:
            before = self._batches.get(batch.partition)
            follows = before is not None and before.next_offset == batch.first
            self._batches[batch.partition] = _joined(before, batch) if before is not None and follows else batch

    def must_store(self) -> bool:
        """Whether there are events, a watermark that something waits for, or batches older than a second."""
        if not self._batches:
            return False
        return time.monotonic() - self._since >= STORE_SECONDS or any(map(self._is_urgent, self._batches.values()))

    def take(self) -> list[PartitionBatch]:
        """All batches by partition. They are forgotten here."""
        batches = [batch for _, batch in sorted(self._batches.items())]
        self._batches = {}
        return batches

    def set_due(self, partitions: Collection[int], due: Mapping[int, datetime | None]) -> None:
        """Set from which watermark on each of these partitions is stored at once. Without an entry, every one is."""
        for partition in partitions:
            self._due.pop(partition, None)
        self._due.update(due)

    def clear(self) -> None:
        """Forget everything."""
        self._batches = {}
        self._due = {}

    def _is_urgent(self, batch: PartitionBatch) -> bool:
        if batch.records or batch.partition not in self._due:
            return True
        due = self._due[batch.partition]
        return due is not None and batch.watermark is not None and batch.watermark >= due


def _joined(before: PartitionBatch, batch: PartitionBatch) -> PartitionBatch:
    watermarks = [at for at in (before.watermark, batch.watermark) if at is not None]
    return replace(
        batch, first=before.first, records=[*before.records, *batch.records], watermark=max(watermarks, default=None)
    )
