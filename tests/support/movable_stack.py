"""A whole stack, servers and services, whose business time and on-call directory a test changes as it likes."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from zoneinfo import ZoneInfo

from holidays import country_holidays
from tocsin.instants import render_instant
from tocsin.runtime.process.clock import FileClock
from tocsin_local.clock import RequestedClock
from tocsin_local.layout import POLICY_FOLDER
from tocsin_local.loopback import free_port_offset
from tocsin_local.postgres import Postgres
from tocsin_local.run import running_stack
from tocsin_local.services import PIPELINE
from tocsin_local.stack import Stack, StackOptions

from support.editable_directory import EditableDirectory
from support.servers import log_line

FIRST_MONDAY = datetime(2026, 6, 8, 12, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOLIDAYS = country_holidays("US")
OPENING_HOUR = clock_time(8)
NOTICE = timedelta(milliseconds=20)
SHIPPED_POLICY = POLICY_FOLDER / "policy.yaml"
POLICY_CHANGES = {
    "single_per_minute: 5": "single_per_minute: 100000",
    "automatic_actors: []": "automatic_actors: [autoresponder]",
    "customers: {}": "customers: { storm: { mail: { single_per_minute: 5 } } }",
}
MAIL_SECRET = "mail-secret-of-the-scenarios"
MAIL = """
email:
  default:
    auth: { secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }
    ours: [betterworldtech.com]
    severity: 3
    services: [Not said]
    customers: [{ id: acme, name: Acme, domains: [acme.example] }]
"""
"""Mails of acme; Ida is its IT contact."""
SILENCE_SECONDS = "10"  # longer than a busy machine needs to restart a service


class MovableStack:
    """A running stack and the file that moves its business clock. The clock stands still unless a test lets it run."""

    def __init__(self, stack: Stack, clock_file: Path, directory: EditableDirectory) -> None:
        self.stack = stack
        self.clock_file = clock_file
        self.directory = directory
        self._clock = FileClock(clock_file)

    @property
    def now(self) -> datetime:
        """The business time."""
        return self._clock.now()

    async def move_clock(self, now: datetime) -> None:
        """Sets the business time to `now`, never back, and leaves it there."""
        assert now >= self.now, f"business time only moves forward: {now} is before {self.now}"
        await self._begin_segment(0, now)

    async def run_clock(self, rate: float) -> None:
        """Lets the business time continue at `rate` business seconds per second; 0 stops it."""
        await self._begin_segment(rate, None)

    async def _begin_segment(self, rate: float, epoch: datetime | None) -> None:
        """Writes the segment shortly before it begins, so that all processes switch to it at the same instant."""
        origin = datetime.now(UTC) + NOTICE
        epoch = epoch or self._clock.business(origin)
        with self.clock_file.open("a") as file:
            file.write(f"{origin.isoformat()} {epoch.isoformat()} {rate}\n")
        await asyncio.sleep(NOTICE.total_seconds())  # until the segment begins


@contextlib.contextmanager
def start_movable_stack(
    folder: Path,
    *,
    durable: bool = False,
    services: Sequence[str] = PIPELINE,
    ends_on_signals: bool = False,
    **settings: str,
) -> Iterator[MovableStack]:
    """A stack with its state in `folder`, its clock standing at FIRST_MONDAY; stopped at the end. `settings` replace
    those of its services. PostgreSQL keeps what it has committed when it is killed only if it is `durable`. With
    `ends_on_signals`, for a program outside pytest, Ctrl-C and TERM raise KeyboardInterrupt inside the block.

    Its policy allows any number of single mails, except for the customer `storm`: business hours pass in moments here,
    but mails are joined into digests by real time.
    """
    clock_file = folder / "clock"
    clock_file.write_text(f"2020-01-01T00:00:00+00:00 {FIRST_MONDAY.isoformat()} 0\n")
    directory = EditableDirectory(folder / "directory.yaml")
    integrations = folder / "integrations.yaml"
    shipped = (POLICY_FOLDER / "integrations.yaml").read_text()
    it_contacts = "it_contacts: { default: { acme: [ida@acme.example] } }"
    integrations.write_text(shipped.replace("it_contacts: {}", it_contacts) + MAIL)
    policy = folder / "policy.yaml"
    text = SHIPPED_POLICY.read_text()
    for shipped_line, changed_line in POLICY_CHANGES.items():
        text = text.replace(shipped_line, changed_line)
    policy.write_text(text)
    options = StackOptions(
        state=folder / "state",
        port_offset=free_port_offset(),
        clock=RequestedClock(epoch=render_instant(FIRST_MONDAY), rate=1.0),
        durable=durable,
        services=services,
        directory=directory.file,
        policy=policy,
        integrations=integrations,
        settings={
            "TOCSIN_CLOCK_FILE": str(clock_file),
            "TOCSIN_HOOK_EMAIL": MAIL_SECRET,
            "TOCSIN_SILENCE_SECONDS": SILENCE_SECONDS,
            "TOCSIN_PROBE_SECONDS": "0.5",
            **settings,
        },
    )
    running = running_stack(options, log_line) if ends_on_signals else Stack(options, log_line).running()
    try:
        with running as stack:
            yield MovableStack(stack, clock_file, directory)
    finally:
        Postgres(options.state / "postgres", 0, log_line).remove()


def next_ordinary_monday(now: datetime) -> datetime:
    """The next Monday, 08:00 in New York, that begins two weeks without a holiday and without a clock change."""
    day = now.astimezone(NEW_YORK).date()
    while True:
        day += timedelta(days=(7 - day.weekday()) % 7 or 7)
        mornings = [datetime.combine(day + timedelta(days=n), OPENING_HOUR, NEW_YORK) for n in range(15)]
        is_regular = mornings[0].utcoffset() == mornings[-1].utcoffset()
        if is_regular and not any(each.date() in HOLIDAYS for each in mornings):
            return mornings[0].astimezone(UTC)
