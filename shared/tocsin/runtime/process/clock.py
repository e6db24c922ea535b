"""Business time: `epoch + (real now - origin) * rate`, the same mapping in every process (DESIGN, Time)."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.runtime.process.settings import ClockSettings


@dataclass(frozen=True, slots=True)
class BusinessClock:
    """A mapping of real instants to business instants. Only composition roots own one; everything else is told the
    time.
    """

    epoch: datetime
    origin: datetime
    rate: float

    def now(self) -> datetime:
        """The business instant of this process's wall clock."""
        return self.business(datetime.now(UTC))

    def business(self, real: datetime) -> datetime:
        """The business instant of a real one, for example of a reading of a database's clock."""
        return self.epoch + (real - self.origin) * self.rate

    def lateness(self, scheduled: datetime, now: datetime) -> timedelta:
        """How late in real time something is that was `scheduled`; both in business time. A frozen clock counts as
        rate 1.
        """
        return (now - scheduled) / (self.rate or 1.0)


class FileClock:
    """A clock that tests move: each line of its file, `ORIGIN EPOCH RATE`, holds from the real instant ORIGIN on.

    The file is only appended to, ordered by origin; a line without its newline is not there yet. It is looked at in
    every reading. Business time never runs backwards: a segment that would start below the end of the one before
    starts there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._origins: list[datetime] = []
        self._segments: list[BusinessClock] = []

    @property
    def rate(self) -> float:
        """Business seconds a real second, now."""
        return self._segment(datetime.now(UTC)).rate

    def now(self) -> datetime:
        """The business instant of this process's wall clock."""
        return self.business(datetime.now(UTC))

    def business(self, real: datetime) -> datetime:
        """The business instant of a real one, by the segment that holds there."""
        return self._segment(real).business(real)

    def lateness(self, scheduled: datetime, now: datetime) -> timedelta:
        """How late in real time, at the rate of this moment; see `BusinessClock.lateness`."""
        return self._segment(datetime.now(UTC)).lateness(scheduled, now)

    def _segment(self, real: datetime) -> BusinessClock:
        status = self._path.stat()
        if self._version != (status.st_size, status.st_mtime_ns):
            self._read()
            self._version = (status.st_size, status.st_mtime_ns)
        return self._segments[max(0, bisect_right(self._origins, real) - 1)]

    def _read(self) -> None:
        segments: list[BusinessClock] = []
        for line in self._path.read_text().splitlines(keepends=True):
            if not line.endswith("\n") or not line.strip():
                continue
            origin, epoch, rate = line.split()
            segment = BusinessClock(datetime.fromisoformat(epoch), datetime.fromisoformat(origin), float(rate))
            if segments:
                reached = segments[-1].business(segment.origin)
                segment = BusinessClock(max(segment.epoch, reached), segment.origin, segment.rate)
            segments.append(segment)
        if not segments:
            raise ValueError(f"TOCSIN_CLOCK_FILE: {self._path.name} has no whole line ORIGIN EPOCH RATE")
        self._segments = segments
        self._origins = [segment.origin for segment in segments]


TimeSource = BusinessClock | FileClock
"""What tells a process the business time."""


def clock_from(settings: ClockSettings) -> TimeSource:
    """The clock the environment describes; without a description, real time."""
    if settings.clock_file is not None:
        return FileClock(settings.clock_file)
    unix = datetime(1970, 1, 1, tzinfo=UTC)
    return BusinessClock(settings.clock_epoch or unix, settings.clock_origin or unix, settings.clock_rate)
