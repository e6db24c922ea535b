"""Business time: `epoch + (real - origin) * rate`, the same in every process (docs/architecture.md#time)."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.runtime.process.regular_file import file_status, read_text
from tocsin.runtime.process.settings import ClockSettings


@dataclass(frozen=True, slots=True)
class BusinessClock:
    """A linear mapping from real instants to business instants."""

    epoch: datetime
    origin: datetime
    rate: float

    def now(self) -> datetime:
        """The business instant of now."""
        return self.business(datetime.now(UTC))

    def business(self, real: datetime) -> datetime:
        """The business instant of a real one, for example of the database's clock."""
        return self.epoch + (real - self.origin) * self.rate

    def lateness(self, scheduled: datetime, now: datetime) -> timedelta:
        """The real time from `scheduled` to `now`, both in business time. A frozen clock counts as rate 1."""
        return (now - scheduled) / (self.rate or 1.0)


class FileClock:
    """A clock that tests advance: a file with lines `ORIGIN EPOCH RATE`, each valid from the real instant ORIGIN on.

    Lines are only appended, ordered by ORIGIN; a line without its newline is ignored. The file is checked at every
    call. Business time never runs backwards: a segment starts no earlier than the previous one ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._origins: list[datetime] = []
        self._segments: list[BusinessClock] = []

    @property
    def rate(self) -> float:
        """Business seconds per real second, now."""
        return self._segment(datetime.now(UTC)).rate

    def now(self) -> datetime:
        """The business instant of now."""
        return self.business(datetime.now(UTC))

    def business(self, real: datetime) -> datetime:
        """The business instant of a real one, by the segment that is valid then."""
        return self._segment(real).business(real)

    def lateness(self, scheduled: datetime, now: datetime) -> timedelta:
        """As `BusinessClock.lateness`, at the current rate."""
        return self._segment(datetime.now(UTC)).lateness(scheduled, now)

    def _segment(self, real: datetime) -> BusinessClock:
        status = file_status(self._path)
        if self._version != (status.st_size, status.st_mtime_ns):
            self._read()
            self._version = (status.st_size, status.st_mtime_ns)
        return self._segments[max(0, bisect_right(self._origins, real) - 1)]

    def _read(self) -> None:
        segments: list[BusinessClock] = []
        for line in read_text(self._path).splitlines(keepends=True):
            if not line.endswith("\n") or not line.strip():
                continue
            origin, epoch, rate = line.split()
            segment = BusinessClock(datetime.fromisoformat(epoch), datetime.fromisoformat(origin), float(rate))
            if segments:
                previous_end = segments[-1].business(segment.origin)
                segment = BusinessClock(max(segment.epoch, previous_end), segment.origin, segment.rate)
            segments.append(segment)
        if not segments:
            raise ValueError(f"TOCSIN_CLOCK_FILE: {self._path.name} has no complete line `ORIGIN EPOCH RATE`")
        self._segments = segments
        self._origins = [segment.origin for segment in segments]


TimeSource = BusinessClock | FileClock
"""A source of business time."""


def clock_from(settings: ClockSettings) -> TimeSource:
    """The clock that the settings describe; real time by default."""
    if settings.clock_file is not None:
        return FileClock(settings.clock_file)
    unix = datetime(1970, 1, 1, tzinfo=UTC)
    return BusinessClock(settings.clock_epoch or unix, settings.clock_origin or unix, settings.clock_rate)
