"""Whether the tickets of the board are up to date: if not, why, and since when."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from tocsin.runtime.process.clock import TimeSource

from board.domain.ticket_row import shown
from board.domain.time_words import PageTime
from board.errors import UpstreamKeyError
from board.store.stale import Staleness

CHECK_SECONDS: Final = 5
"""Real seconds between two checks."""
LATE: Final = timedelta(minutes=1)
"""Real time for which deadlines may wait for their owners before the board says so."""
BEHIND: Final = timedelta(seconds=20)
"""Real time for which records may wait to be read before the board says so: a replica takes over faster."""
MOST_NEW: Final = 5
"""How many new tickets may wait for their first deadlines before the board says so at once, and not after `NEW`."""
NEW: Final = 3.0
"""Real seconds for which a new ticket usually waits at most for its first deadlines."""

_ADVICE: Final = "What you see may be out of date."


class TopicReader(Protocol):
    """A consumer, as far as its progress is concerned."""

    @property
    def lag_seconds(self) -> float | None:
        """For how long the oldest record has waited; None while that is unknown."""

    async def ready(self) -> str | None:
        """What is wrong; None if the topic is read."""


class TicketReader(Protocol):
    """The refresher, as far as its progress is concerned."""

    staleness: Mapping[str, Staleness]

    def down_for(self, tenant: str) -> Mapping[str, timedelta]:
        """The services that do not respond about this tenant's tickets, and for how long."""


class Freshness:
    """Checks the readers of the topics, the refresher and the tickets. `tenants` have a key for the other services.

    `unevaluated`: since when the open tickets of a tenant wait for their first deadlines, by the monotonic clock.
    """

    def __init__(
        self,
        clock: TimeSource,
        zone: ZoneInfo,
        refresher: TicketReader,
        consumers: Sequence[TopicReader],
        *,
        tenants: Collection[str],
        unevaluated: Callable[[str], Collection[float]],
    ) -> None:
        self._clock = clock
        self._zone = zone
        self._refresher = refresher
        self._consumers = consumers
        self._tenants = tenants
        self._unevaluated = unevaluated
        self._unread_since: float | None = None
        """When a topic was first found not to be read, by the monotonic clock; None while all are read."""
        self._behind = timedelta(0)

    async def check(self) -> None:
        """Check the consumers again; a job for the scheduler."""
        faults = [each for each in self._consumers if each.lag_seconds is None or await each.ready() is not None]
        self._unread_since = (self._unread_since or time.monotonic()) if faults else None
        self._behind = timedelta(seconds=max((each.lag_seconds or 0.0 for each in self._consumers), default=0.0))

    def why_stale(self, tenant: str) -> str | None:
        """Why and since when the tenant's tickets are out of date, as a sentence; None while all is well."""
        unread = timedelta(seconds=time.monotonic() - self._unread_since) if self._unread_since else timedelta(0)
        down = {service: age for service, age in self._refresher.down_for(tenant).items() if age >= LATE}
        late = self._refresher.staleness.get(tenant)
        if tenant not in self._tenants:
            return f"{UpstreamKeyError(tenant)}. Until then, no deadlines are shown."
        if self._unread_since and unread >= BEHIND:
            fault = f"New events have not been read since {self._since(unread)}."
        elif self._behind >= BEHIND:
            fault = f"Events since {self._since(self._behind)} have not been read yet."
        elif down:
            have = "has" if len(down) == 1 else "have"
            fault = f"{' and '.join(sorted(down))} {have} not responded since {self._since(max(down.values()))}."
        elif late is not None and late.recent_tickets and late.recent_age >= LATE:
            tickets = "1 ticket has" if late.recent_tickets == 1 else f"{late.recent_tickets:,} tickets have"
            fault = f"{tickets} waited since {self._since(late.recent_age)} for deadlines from sla-timer and escalator."
        elif waiting := self._waiting(tenant):
            tickets = "1 ticket" if waiting == 1 else f"{waiting:,} tickets"
            fault = f"Deadlines of {tickets} are not read yet."
        else:
            return None
        return f"{fault} {_ADVICE}"

    def _waiting(self, tenant: str) -> int:
        """How many tickets wait for their first deadlines; 0 if they are few and new."""
        since = self._unevaluated(tenant)
        late = self._refresher.staleness.get(tenant)
        count = len(since) - (late.old_unevaluated if late is not None else 0)
        if count <= 0 or (count <= MOST_NEW and time.monotonic() - min(since) < NEW):
            return 0
        return count

    def _since(self, age: timedelta) -> str:
        """`Mon 14:00`, in business time."""
        times = PageTime(self._zone, self._clock.now())
        return shown(self._clock.business(datetime.now(UTC) - age), times).text
