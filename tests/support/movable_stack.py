"""The stack of the stories: real servers and services, whose business time and directory the stories move."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from zoneinfo import ZoneInfo

from holidays import country_holidays
from tocsin.instants import render_instant
from tocsin.runtime.process.clock import FileClock
from tocsin_local.clock import Asked
from tocsin_local.processes import free_offset
from tocsin_local.stack import Plan, Stack

from support.servers import tell
from support.story_directory import WrittenDirectory

FIRST_MONDAY = datetime(2026, 6, 8, 12, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOLIDAYS = country_holidays("US")
OPENING = clock_time(8)
NOTICE = timedelta(milliseconds=20)
SILENCE_SECONDS = "10"  # longer than a service needs to be started again on a busy machine


class Clockwork:
    """A running stack and the file by which its business time is moved. It stands still unless a story lets it run."""

    def __init__(self, stack: Stack, file: Path, directory: WrittenDirectory) -> None:
        self.stack = stack
        self.directory = directory
        self._file = file
        self._clock = FileClock(file)

    @property
    def now(self) -> datetime:
        return self._clock.now()

    async def move(self, now: datetime) -> None:
        """Business time jumps to `now`, never back, and stands there."""
        assert now >= self.now, f"time only moves forward: {now} lies before {self.now}"
        await self._go_on(0, now)

    async def run(self, rate: float) -> None:
        """Business time runs on from where it is, `rate` seconds a second; at 0 it stands."""
        await self._go_on(rate, None)

    async def _go_on(self, rate: float, epoch: datetime | None) -> None:
        """A segment is announced a little before it begins, so that every process knows it when it does."""
        origin = datetime.now(UTC) + NOTICE
        epoch = epoch or self._clock.business(origin)
        with self._file.open("a") as file:
            file.write(f"{origin.isoformat()} {epoch.isoformat()} {rate}\n")
        await asyncio.sleep(NOTICE.total_seconds())  # the segment begins at that instant of the real clock


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Clockwork]:
    """The whole stack in a folder of its own, its clock standing at FIRST_MONDAY."""
    clock_file = folder / "clock"
    clock_file.write_text(f"2020-01-01T00:00:00+00:00 {FIRST_MONDAY.isoformat()} 0\n")
    directory = WrittenDirectory(folder / "directory.yaml")
    plan = Plan(
        state=folder / "state",
        port_offset=free_offset(),
        clock=Asked(render_instant(FIRST_MONDAY), 1.0, None),
        durable=False,
        directory=directory.file,
        settings={
            "TOCSIN_CLOCK_FILE": str(clock_file),
            "TOCSIN_SILENCE_SECONDS": SILENCE_SECONDS,
            "TOCSIN_PROBE_SECONDS": "0.5",
            "TOCSIN_RELAY_INTERVAL": "0.5",  # a commit wakes the relay; looking more often costs the machine much
        },
    )
    stack = Stack(plan, tell)
    with stack.state.held():
        try:
            stack.start()
            yield Clockwork(stack, clock_file, directory)
        finally:
            stack.stop()
            stack.postgres.remove()
            stack.postgres.remove()


def ordinary_monday(now: datetime) -> datetime:
    """The next Monday, 08:00 in New York, that begins two weeks without a holiday and without a clock change."""
    day = now.astimezone(NEW_YORK).date()
    while True:
        day += timedelta(days=(7 - day.weekday()) % 7 or 7)
        weeks = [datetime.combine(day + timedelta(days=n), OPENING, NEW_YORK) for n in range(15)]
        if not any(each.date() in HOLIDAYS for each in weeks) and weeks[0].utcoffset() == weeks[-1].utcoffset():
            return weeks[0].astimezone(UTC)
