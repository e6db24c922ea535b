"""Live updates of the board: one reader of changes for all who watch, and each changed row rendered once."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from tocsin.directory import Directory
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.tasks import wait_any

from board import metrics
from board.domain.board_filter import BoardFilter
from board.domain.board_page import count_tickets
from board.domain.board_ticket import BoardTicket, TicketGroup
from board.domain.live_position import LivePosition
from board.domain.ticket_row import next_change
from board.domain.viewer import Viewer
from board.errors import TooManyWatchersError
from board.workers.open_tickets import OpenTickets

log = structlog.get_logger(__name__)

MOST_WATCHERS: Final = 500
"""Watchers of one process. Each has a connection; HTTP requests need some too."""
MOST_OF_ONE: Final = 250
"""Watchers with the same key or person, so that one cannot take all places."""
POLL_SECONDS: Final = 1.0
"""Real seconds between two reads of the changes of other replicas, while somebody watches."""
PAUSE_SECONDS: Final = 0.25
"""The shortest time between two reads: a burst of commits becomes one update."""

_MOST_FRAMES: Final = 20_000
_MOST_MOVES: Final = 20_000
"""How many changes of groups are remembered of each tenant."""

Render = Callable[[BoardTicket, datetime], str]
"""The row of a ticket at an instant, as HTML."""


@dataclass(eq=False)
class Watcher:
    """A client. `pending` has the tickets that it has not got yet; None means that it must load the page again."""

    viewer: Viewer
    wanted: BoardFilter
    pending: dict[UUID, None] | None = field(default_factory=dict)
    is_closed: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, ticket_ids: Iterable[UUID]) -> None:
        """These tickets have changed, or are due to be sent again."""
        if self.pending is not None:
            self.pending.update(dict.fromkeys(ticket_ids))
        self.woken.set()

    def reload(self) -> None:
        """The client must load the page again."""
        self.pending = None
        self.woken.set()

    def close(self) -> None:
        """End the stream."""
        self.is_closed = True
        self.woken.set()


@dataclass
class _TenantTimes:
    """The instants at which tickets change their group without a new fact, and which tickets did since `start`."""

    start: datetime
    next: dict[UUID, datetime]
    past: list[tuple[datetime, UUID]] = field(default_factory=list)


class LiveUpdates:
    """One per process. `run` is its loop; `wake` is called after a commit of this process."""

    def __init__(
        self,
        tickets: OpenTickets,
        clock: TimeSource,
        render: Render,
        problem: Callable[[str], str | None],
        directory: Callable[[], Directory | None],
    ) -> None:
        self._directory = directory
        self._last_directory = directory()
        self._tickets = tickets
        self._clock = clock
        self._render = render
        self._problem = problem
        self._watchers: dict[Watcher, None] = {}
        self._times: dict[str, _TenantTimes] = {}
        self._wake = asyncio.Event()
        self._version, self._at = 0, clock.now()
        self._rebuild_version: int | None = None
        self._groups: dict[UUID, tuple[int, TicketGroup]] = {}
        """The group of each ticket with its version; removed when time changes it."""
        self._frames: dict[UUID, tuple[str, bytes]] = {}
        self._counts: dict[BoardFilter, bytes] = {}

    def wake(self) -> None:
        """Read the changes soon."""
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send changes to the watchers until `stopping`."""
        while not stopping.is_set():
            await wait_any(POLL_SECONDS, stopping, self._wake)
            self._wake.clear()
            if not self._watchers:
                self._times.clear()
                self._groups.clear()
                self._tickets.take_changes()
                continue
            try:
                await self.update()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("live_update_failed", error=repr(error))
            await wait_any(PAUSE_SECONDS, stopping)
        for watcher in self._watchers:
            watcher.close()

    async def update(self) -> None:
        """Read the changes once, and hand them to the watchers. Raises errors of the database."""
        with metrics.LIVE_UPDATE_SECONDS.time():
            await self._tickets.refresh()
            self._dispatch()

    def _dispatch(self) -> None:
        """Hand to the watchers what has changed since the last time, by facts and by time."""
        self._version, self._at = self._tickets.version, self._clock.now()
        if self._tickets.rebuild_version != self._rebuild_version:
            self._begin_anew()
        now = self._at
        by_tenant: dict[str, dict[UUID, None]] = {}
        for ticket in self._tickets.take_changes():
            by_tenant.setdefault(ticket.ticket.tenant, {})[ticket.ticket_id] = None
            self._plan(ticket, now)
        for tenant, times in self._times.items():
            moved = [ticket_id for ticket_id, at in times.next.items() if at <= now]
            known = self._tickets.known(tenant)
            for ticket_id in moved:
                times.past.append((now, ticket_id))
                self._groups.pop(ticket_id, None)
                self._plan_next(times, ticket_id, known.get(ticket_id), now)
            if len(times.past) > _MOST_MOVES:
                del times.past[: _MOST_MOVES // 2]
                times.start = times.past[0][0]
            if moved:
                by_tenant.setdefault(tenant, {}).update(dict.fromkeys(moved))
        directory = self._directory()
        if directory is not self._last_directory:
            self._last_directory = directory
            for tenant in self._times:
                by_tenant.setdefault(tenant, {}).update(dict.fromkeys(_with_next(self._tickets.known(tenant).values())))
        if by_tenant:
            self._counts.clear()
        for watcher in self._watchers:
            if ticket_ids := by_tenant.get(watcher.wanted.tenant):
                watcher.add(ticket_ids)

    def _begin_anew(self) -> None:
        """The read model was emptied: what clients show may no longer exist. At the first call they show nothing."""
        self._times.clear()
        self._groups.clear()
        self._frames.clear()
        if self._rebuild_version is not None:
            for watcher in self._watchers:
                watcher.reload()
        self._rebuild_version = self._tickets.rebuild_version

    def is_full(self, viewer: Viewer) -> bool:
        """Whether this process accepts no further watcher of the viewer."""
        own = sum(watcher.viewer == viewer for watcher in self._watchers)
        return own >= MOST_OF_ONE or len(self._watchers) >= MOST_WATCHERS

    async def watch(self, viewer: Viewer, wanted: BoardFilter, after: LivePosition) -> Watcher:
        """A new watcher, which gets what has changed after that position. Raises TooManyWatchersError.

        Call `leave` at the end.
        """
        if self.is_full(viewer):
            raise TooManyWatchersError
        watcher = Watcher(viewer, wanted)
        self._watchers[watcher] = None
        metrics.WATCHERS.set(len(self._watchers))
        try:
            known = await self._tickets.load(wanted.tenant)
            self._dispatch()
            missed = await self._tickets.changed_since(after.version, wanted.tenant)
        except BaseException:
            self.leave(watcher)
            raise
        times = self._times.get(wanted.tenant)
        if times is None:
            times = self._times[wanted.tenant] = _TenantTimes(self._at, {})
            for ticket in known.values():
                self._plan_next(times, ticket.ticket_id, ticket, self._at)
        if missed is None:
            watcher.reload()
        else:
            watcher.add([*missed, *self._moved_since(times, known.values(), after.at)])
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Remove a watcher whose client is gone."""
        self._watchers.pop(watcher, None)
        metrics.WATCHERS.set(len(self._watchers))

    def take(self, watcher: Watcher) -> list[bytes]:
        """What to send to the watcher now, as server-sent events; the last one carries the new position."""
        watcher.woken.clear()
        if watcher.pending is None:
            return [_event("reload", {})]
        ticket_ids, watcher.pending = watcher.pending, {}
        known = self._tickets.known(watcher.wanted.tenant)
        frames = [self._frame(watcher.wanted, ticket_id, known.get(ticket_id)) for ticket_id in ticket_ids]
        if frames:
            frames.append(self._count(watcher.wanted, known.values()))
        frames.append(self._heartbeat(watcher.wanted.tenant))
        return frames

    def _frame(self, wanted: BoardFilter, ticket_id: UUID, found: BoardTicket | None) -> bytes:
        if found is None or not wanted.matches(found):
            return _event("gone", {"id": str(ticket_id)})
        html = self._render(found, self._at)
        kept = self._frames.get(ticket_id)
        if kept is None or kept[0] is not html:
            if len(self._frames) >= _MOST_FRAMES:
                self._frames.clear()  # otherwise those of closed tickets would stay forever
            data = {"id": str(ticket_id), "group": self._group(found).value, "html": html}
            kept = self._frames[ticket_id] = (html, _event("ticket", data))
        return kept[1]

    def _count(self, wanted: BoardFilter, tickets: Iterable[BoardTicket]) -> bytes:
        if wanted not in self._counts:
            selected = ((found, self._group(found)) for found in tickets if wanted.matches(found))
            self._counts[wanted] = _event("counts", count_tickets(selected).as_dict())
        return self._counts[wanted]

    def _group(self, found: BoardTicket) -> TicketGroup:
        kept = self._groups.get(found.ticket_id)
        if kept is None or kept[0] != found.version:
            kept = self._groups[found.ticket_id] = (found.version, found.group(self._at))
        return kept[1]

    def _heartbeat(self, tenant: str) -> bytes:
        position = LivePosition(self._version, self._at)
        now = self._clock.now()
        data = {"now": round(now.timestamp(), 3), "rate": self._clock.rate, "stale": self._problem(tenant)}
        return f"id: {position}\n".encode() + _event("heartbeat", data)

    def _plan(self, ticket: BoardTicket, now: datetime) -> None:
        if not ticket.is_open:
            self._groups.pop(ticket.ticket_id, None)
        times = self._times.get(ticket.ticket.tenant)
        if times is not None:
            self._plan_next(times, ticket.ticket_id, ticket if ticket.is_open else None, now)

    def _plan_next(self, times: _TenantTimes, ticket_id: UUID, ticket: BoardTicket | None, now: datetime) -> None:
        at = next_change(ticket, now) if ticket is not None else None
        if at is None:
            times.next.pop(ticket_id, None)
        else:
            times.next[ticket_id] = at

    def _moved_since(self, times: _TenantTimes, tickets: Iterable[BoardTicket], at: datetime) -> Sequence[UUID]:
        """The tickets whose group has changed after `at` without a new fact."""
        if at < times.start:
            older = [(times.start, each.ticket_id) for each in tickets if _has_moved(each, at, times.start)]
            times.past[:0] = older
            times.start = at
        return [ticket_id for when, ticket_id in times.past if when >= at]


def _with_next(tickets: Iterable[BoardTicket]) -> Iterable[UUID]:
    """The tickets whose rows name who is notified next."""
    return (each.ticket_id for each in tickets if each.ladder is not None and each.ladder.next is not None)


def _has_moved(ticket: BoardTicket, before: datetime, now: datetime) -> bool:
    change = next_change(ticket, before)
    return change is not None and change <= now


def _event(name: str, data: dict[str, Any]) -> bytes:
    """A server-sent event. JSON has no line break, so its data are one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
