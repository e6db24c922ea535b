"""When intake counts as gone: after unbroken proof that nothing comes although the bus answers (RULES 4)."""

from collections.abc import Mapping

from tocsin.runtime.database.offsets import Position


class Silence:
    """For each partition, since when (monotonic seconds) every probe found it read to its end and without progress.

    A failed probe, or a partition that is not at its end, breaks the proof; the last progress's age proves nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[int, float] = {}
        self._seen: Mapping[int, Position] = {}

    def broken(self) -> None:
        """A probe failed: the count begins again."""
        self._since = {}
        self._seen = {}

    def observe(self, at: float, ends: Mapping[int, int], positions: Mapping[int, Position]) -> None:
        """A probe at `at` found these ends of the topic, and these positions in our own database."""
        quiet = {
            partition
            for partition, position in positions.items()
            if ends.get(partition) == position.next_offset and self._seen.get(partition) == position
        }
        self._since = {partition: self._since.get(partition, at) for partition in quiet}
        self._seen = positions

    def silent(self, at: float) -> set[int]:
        """The partitions that have been silent for long enough."""
        return {partition for partition, since in self._since.items() if at - since >= self._seconds}
