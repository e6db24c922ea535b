"""Reads the clocks and ladders of outdated tickets again from sla-timer and the escalator."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.backoff import Backoff
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.metrics import Measurement
from tocsin.runtime.process.tasks import wait_any

from board import metrics
from board.domain.owner_responses import is_same_evaluation
from board.errors import UpstreamError
from board.sources.upstream import MOST_TICKETS, JsonObject, Upstream
from board.store.stale import (
    SETTLE,
    RefreshedTicket,
    Staleness,
    StaleTicket,
    claim,
    count_without_key,
    load_staleness,
    store_refreshed,
)

log = structlog.get_logger(__name__)

REREAD: Final = timedelta(minutes=10)
"""The greatest age of an open ticket's clocks: a changed policy or directory publishes no event."""
_POLL_SECONDS: Final = 1.0
_LEASE: Final = timedelta(minutes=2)
"""A claim outlasts both requests with all their timeouts."""
_SHARE: Final = 4
"""The time from one round of requests to the next, as a multiple of its duration: a burst makes the board late, and not
the owners."""
_LONGEST_REST_SECONDS: Final = 5.0
_UNREAD: Final = Backoff(first=timedelta(seconds=0.1), longest=timedelta(seconds=30))
"""Pauses of a ticket while an owner has not yet handled a record that the board has."""
_DOWN: Final = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=30))
"""Pauses after an owner did not respond."""

OnChange = Callable[[], None]


class Refresher:
    """Reads outdated tickets; replicas share the work. `on_change` is called after each commit that changed tickets."""

    def __init__(self, engine: AsyncEngine, upstream: Upstream, on_change: Sequence[OnChange] = ()) -> None:
        self._engine = engine
        self._claiming = engine.execution_options(isolation_level="AUTOCOMMIT")  # a claim is one statement
        self._upstream = upstream
        self._on_change = on_change
        self._woken = asyncio.Event()
        self._failures: dict[tuple[str, str], int] = defaultdict(int)
        """The failures in a row by (service, tenant)."""
        self._retry_at = float("inf")
        """When the first ticket is due whose response was too old, by the monotonic clock."""
        self._measurement = Measurement(metrics.forget_staleness)
        self._without_key: frozenset[str] = frozenset()
        self._down_since: dict[tuple[str, str], float] = {}
        """By service and tenant, when the first of the failures in a row was, by the monotonic clock."""
        self.staleness: Mapping[str, Staleness] = {}
        """By tenant, as `measure` found it last."""

    def wake(self) -> None:
        """Call it after a commit that marked tickets."""
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Read outdated tickets until `stopping`."""
        while not stopping.is_set():
            self._woken.clear()
            started = time.monotonic()
            try:
                claimed = await self.refresh()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("refresh_failed", error=repr(error))
                claimed = 0
            if claimed:
                spent = time.monotonic() - started
                await wait_any(min((_SHARE - 1) * spent, _LONGEST_REST_SECONDS), stopping)
                continue
            retry = max(0.0, self._retry_at - time.monotonic())
            await wait_any(min(_POLL_SECONDS, retry), stopping, self._woken)
            if self._woken.is_set():
                await wait_any(SETTLE.total_seconds(), stopping)

    async def refresh(self) -> int:
        """One round: read the tickets that are due, up to the limit of a request. Returns how many were due.

        Raises errors of the database; those of the owners only postpone the tickets.
        """
        self._retry_at = float("inf")
        async with self._claiming.connect() as connection:
            due = await claim(connection, self._upstream.tenants, most=MOST_TICKETS, lease=_LEASE)
        by_tenant: dict[str, list[StaleTicket]] = defaultdict(list)
        for ticket in due:
            by_tenant[ticket.tenant].append(ticket)
        refreshed = [each for tenant, tickets in by_tenant.items() for each in await self._read(tenant, tickets)]
        if not refreshed:
            return 0
        async with self._engine.begin() as connection:
            await store_refreshed(connection, refreshed)
        metrics.REFRESHED.inc(sum(each.is_fresh for each in refreshed))
        pauses = [each.pause.total_seconds() for each in refreshed if not each.is_fresh and each.pause is not None]
        self._retry_at = time.monotonic() + min(pauses, default=float("inf"))
        for act in self._on_change:
            act()
        return len(due)

    def down_for(self, tenant: str) -> Mapping[str, timedelta]:
        """The services that do not respond about this tenant's tickets, with the real time since the first failure."""
        now = time.monotonic()
        return {
            service: timedelta(seconds=now - since)
            for (service, owner), since in self._down_since.items()
            if owner == tenant
        }

    async def measure(self) -> None:
        """Set the gauges from the database."""
        tenants = self._upstream.tenants
        with self._measurement.attempt():
            async with self._engine.connect() as connection:
                staleness = await load_staleness(connection, tenants)
                without_key = await count_without_key(connection, tenants)
        self.staleness = staleness
        metrics.STALE_TICKETS.set(sum(each.tickets for each in staleness.values()))
        metrics.STALE_SECONDS.set(max((each.age.total_seconds() for each in staleness.values()), default=0.0))
        metrics.TICKETS_WITHOUT_KEY.set(sum(without_key.values()))
        if new := without_key.keys() - self._without_key:
            log.warning("tenants_without_key", tenants=sorted(new), hint="Add their keys to TOCSIN_UPSTREAM_KEYS.")
        self._without_key |= new

    async def _read(self, tenant: str, tickets: Sequence[StaleTicket]) -> list[RefreshedTicket]:
        """Request the clocks and ladders of tickets of the tenant."""
        events = {each.ticket_id: each.ladder_event_id for each in tickets if each.ladder_event_id is not None}
        clocks, ladders = await asyncio.gather(
            self._ask("sla-timer", tenant, self._upstream.clocks(tenant, [each.ticket_id for each in tickets])),
            self._ask("escalator", tenant, self._upstream.ladders(tenant, events)) if events else _nothing(),
        )
        return [self._refreshed(each, clocks, ladders) for each in tickets]

    async def _ask(
        self, name: str, tenant: str, request: Coroutine[Any, Any, list[JsonObject]]
    ) -> Mapping[UUID, JsonObject] | None:
        """The items by ticket; None if the owner did not respond."""
        try:
            items = {UUID(item["ticket_id"]): item for item in await request}
        except UpstreamError as error:
            self._failures[name, tenant] += 1
            self._down_since.setdefault((name, tenant), time.monotonic())
            metrics.REFRESH_FAILURES.labels(name).inc()
            log.warning("upstream_failed", upstream=name, tenant=tenant, error=str(error))
            return None
        self._failures[name, tenant] = 0
        self._down_since.pop((name, tenant), None)
        return items

    def _refreshed(
        self,
        ticket: StaleTicket,
        clocks: Mapping[UUID, JsonObject] | None,
        ladders: Mapping[UUID, JsonObject] | None,
    ) -> RefreshedTicket:
        clocks_item = (clocks or {}).get(ticket.ticket_id)
        ladder_item = (ladders or {}).get(ticket.ticket_id)
        has_clocks = clocks_item is not None and clocks_item["facts"] >= ticket.last_fact
        has_ladder = ticket.ladder_event_id is None or (ladder_item is not None and ladder_item["handled"])
        is_fresh = has_clocks and has_ladder
        if is_fresh:
            pause = REREAD * random.uniform(0.9, 1.1) if ticket.is_open else None
        else:
            failures = max(
                self._failures["sla-timer", ticket.tenant] if clocks is None else 0,
                self._failures["escalator", ticket.tenant] if ladders is None else 0,
            )
            pause = _DOWN.pause(failures, random.random()) if failures else _UNREAD.pause(ticket.failures + 1)
        return RefreshedTicket(
            claimed=ticket,
            clocks=ticket.clocks if clocks_item is None else _newer(ticket.clocks, clocks_item),
            ladder=ticket.ladder if ladder_item is None else _json(ladder_item["ladder"]),
            is_fresh=is_fresh,
            pause=pause,
        )


def _newer(stored: str | None, item: JsonObject) -> str:
    """The item; the stored one if only time has passed since then, because times left follow from it at any instant."""
    if stored is not None and is_same_evaluation(orjson.loads(stored), item):
        return stored
    return orjson.dumps(item).decode()


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


async def _nothing() -> Mapping[UUID, JsonObject]:
    return {}
