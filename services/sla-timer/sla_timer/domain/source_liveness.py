"""Whether intake, the source of all facts, still sends: docs/rules.md#4-22. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class ReadPosition(NamedTuple):
    """The stored position of a partition: its next offset, and its watermark."""

    next_offset: int
    accepted_through: datetime | None


@dataclass(frozen=True, slots=True)
class SourceLiveness:
    """The result of the probes so far. `silent_since` is when each silent partition was first found silent.

    A partition is silent while every probe finds that it was read to its end, and that nothing, not even a watermark,
    was read since the probe before. The age of the last watermark proves nothing. Instants are monotonic seconds.
    """

    silent_since: Mapping[int, float] = field(default_factory=dict)
    positions: Mapping[int, ReadPosition] = field(default_factory=dict)

    def probed(self, at: float, *, ends: Mapping[int, int], positions: Mapping[int, ReadPosition]) -> "SourceLiveness":
        """The liveness after a probe at `at` found these end offsets in Kafka and these positions in the database.

        After a probe that failed, start again with `SourceLiveness()`.
        """
        silent = {
            partition
            for partition, position in positions.items()
            if ends.get(partition) == position.next_offset and self.positions.get(partition) == position
        }
        return SourceLiveness({partition: self.silent_since.get(partition, at) for partition in silent}, positions)

    def silent_partitions(self, at: float, *, seconds: float) -> frozenset[int]:
        """The partitions that have been silent for that long."""
        return frozenset(partition for partition, since in self.silent_since.items() if at - since >= seconds)
