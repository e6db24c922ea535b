"""The outgoing webhooks: queue, claim, finish, list, redeliver. Nothing here commits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Interval,
    Row,
    Select,
    Text,
    bindparam,
    column,
    delete,
    exists,
    func,
    lateral,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.bulk import among, insert, insert_new

from board.domain.webhooks.delivery import GIVE_UP, AttemptOutcome, OutgoingState, OutgoingWebhook
from board.store.tables import WEBHOOK_ATTEMPTS, WEBHOOKS
from board.store.webhook_endpoints import EndpointKey

_C: Final = WEBHOOKS.c
_NAMES: Final = tuple(OutgoingWebhook.__dataclass_fields__)
_COLUMNS: Final[list[ColumnElement[Any]]] = [_C[name] for name in _NAMES]
_NOT_ATTEMPTED: Final = "was not sent in time: the endpoint fails, or is not in webhooks.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFilter:
    """Selects outgoing webhooks of a tenant: those after `after` in the order of the list, with these values."""

    tenant: str
    endpoint: str | None = None
    state: OutgoingState | None = None
    ticket_id: UUID | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """One attempt. `ended_at` is null while it is in progress, or if its process ended before the result was stored."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    status: int | None
    problem: str | None
    response: str | None


@dataclass(frozen=True, slots=True)
class WebhookBacklog:
    """How many webhooks wait, and for how many real seconds the oldest does."""

    pending: int
    oldest_age: float


async def add_webhooks(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Queue the webhooks whose id is not known yet, in this order. Returns how many are new.

    A row has the columns of `OutgoingWebhook` without the ones that attempts write.
    """
    return len(await insert_new(connection, WEBHOOKS, rows)) if rows else 0


async def load_notified(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> set[tuple[str, str, UUID]]:
    """The tenant, endpoint and ticket of every webhook about these tickets that is still kept."""
    query = select(_C.tenant, _C.endpoint, _C.ticket_id).where(among(_C.ticket_id, ticket_ids)).distinct()
    return {(row.tenant, row.endpoint, row.ticket_id) for row in await connection.execute(query)}


async def load_known(connection: AsyncConnection, delivery_ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids whose webhook is still kept."""
    query = select(_C.delivery_id).where(among(_C.delivery_id, delivery_ids))
    return set(await connection.scalars(query))


async def claim_ready(
    connection: AsyncConnection, slots: Mapping[EndpointKey, int], lease: timedelta
) -> list[OutgoingWebhook]:
    """Claim the webhooks that are ready, up to a number for each endpoint, for an attempt that starts now.

    A ticket's webhooks for an endpoint are attempted in their order: one waits until those before it have had their
    first attempt. Rows that another process is claiming are left out.
    """
    keys = list(slots)
    parameters = {
        "tenants": [tenant for tenant, _ in keys],
        "endpoints": [endpoint for _, endpoint in keys],
        "slots": list(slots.values()),
        "lease": lease,
    }
    rows = (await connection.execute(_CLAIM, parameters)).all()
    claimed = [_webhook(row) for row in sorted(rows, key=lambda row: row.seq)]
    if claimed:
        now = rows[0].now
        started = [{"delivery_id": each.delivery_id, "number": each.attempts, "started_at": now} for each in claimed]
        await insert(connection, WEBHOOK_ATTEMPTS, started)
    return claimed


async def finish_attempt(
    connection: AsyncConnection, after: OutgoingWebhook, outcome: AttemptOutcome, now: datetime
) -> bool:
    """Store a webhook after an attempt. False: its lease ended, and another attempt has begun."""
    written = {name: getattr(after, name) for name in ("state", "failures", "ready_at", "finished_at")}
    query = (
        update(WEBHOOKS)
        .where(_C.delivery_id == after.delivery_id, _C.attempts == after.attempts, _C.ready_at.is_not(None))
        .values(**written, status=after.status, problem=after.problem, is_attempted=True)
    )
    is_current = (await connection.execute(query)).rowcount == 1
    attempts = WEBHOOK_ATTEMPTS.c
    await connection.execute(
        update(WEBHOOK_ATTEMPTS)
        .where(attempts.delivery_id == after.delivery_id, attempts.number == after.attempts)
        .values(ended_at=now, status=outcome.status, problem=outcome.problem, response=outcome.response)
    )
    return is_current


async def fail_overdue(connection: AsyncConnection, grace: timedelta) -> int:
    """Fail the webhooks whose day has passed: their endpoint fails, or is not in the file. Returns how many."""
    now = func.clock_timestamp()
    query = (
        update(WEBHOOKS)
        .where(_C.ready_at.is_not(None), _C.ready_at <= now, _C.give_up_at < now - grace)
        .values(
            state=OutgoingState.FAILED,
            ready_at=None,
            finished_at=now,
            problem=func.coalesce(_C.problem, _NOT_ATTEMPTED),
        )
    )
    return (await connection.execute(query)).rowcount


async def load_webhook(connection: AsyncConnection, tenant: str, delivery_id: UUID) -> OutgoingWebhook | None:
    """The tenant's webhook with this id, or None."""
    query: Select[Any] = select(*_COLUMNS).where(_C.tenant == tenant, _C.delivery_id == delivery_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _webhook(row)


async def load_attempts(connection: AsyncConnection, delivery_id: UUID) -> list[WebhookAttempt]:
    """The attempts of a webhook, the first one first."""
    attempts = WEBHOOK_ATTEMPTS.c
    columns = [attempts[name] for name in WebhookAttempt.__dataclass_fields__]
    query = select(*columns).where(attempts.delivery_id == delivery_id).order_by(attempts.number)
    return [WebhookAttempt(*row) for row in await connection.execute(query)]


async def load_page(
    connection: AsyncConnection, wanted: WebhookFilter, limit: int
) -> list[tuple[int, OutgoingWebhook]]:
    """The webhooks that the filter selects, the oldest first, each with its position in the list."""
    columns = {_C.endpoint: wanted.endpoint, _C.state: wanted.state, _C.ticket_id: wanted.ticket_id}
    conditions = [each == value for each, value in columns.items() if value is not None]
    query: Select[Any] = select(*_COLUMNS, _C.seq).where(_C.tenant == wanted.tenant, _C.seq > wanted.after, *conditions)
    return [(row.seq, _webhook(row)) for row in await connection.execute(query.order_by(_C.seq).limit(limit))]


async def requeue(connection: AsyncConnection, tenant: str, delivery_id: UUID) -> OutgoingWebhook | None:
    """Send a delivered or failed webhook again, for up to a day. None: it is not in such a state, or not found."""
    now = func.clock_timestamp()
    query = (
        update(WEBHOOKS)
        .where(_C.tenant == tenant, _C.delivery_id == delivery_id, _C.ready_at.is_(None))
        .values(state=OutgoingState.WAITING, failures=0, ready_at=now, give_up_at=now + GIVE_UP, finished_at=None)
        .returning(*_COLUMNS)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _webhook(row)


async def measure_backlog(connection: AsyncConnection) -> WebhookBacklog:
    """The webhooks that wait."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(_C.queued_at))
    row = (await connection.execute(select(func.count(), age).where(_C.ready_at.is_not(None)))).one()
    return WebhookBacklog(row[0], float(row[1] or 0))


async def forget(connection: AsyncConnection, older_than: timedelta, limit: int) -> int:
    """Delete up to `limit` webhooks that were finished longer ago, with their attempts. Returns how many."""
    old = select(_C.seq).where(_C.ready_at.is_(None), _C.finished_at < func.clock_timestamp() - older_than)
    return (await connection.execute(delete(WEBHOOKS).where(_C.seq.in_(old.limit(limit))))).rowcount


def _webhook(row: Row[Any]) -> OutgoingWebhook:
    fields = {name: getattr(row, name) for name in _NAMES}
    return OutgoingWebhook(**fields | {"state": OutgoingState(row.state)})


def _claim_statement() -> Any:
    wanted = (
        func.unnest(
            bindparam("tenants", type_=ARRAY(Text)),
            bindparam("endpoints", type_=ARRAY(Text)),
            bindparam("slots", type_=ARRAY(Integer)),
        )
        .table_valued(column("tenant", Text), column("endpoint", Text), column("slots", Integer))
        .render_derived(name="wanted")
    )
    earlier = WEBHOOKS.alias("earlier")
    waits_behind: ColumnElement[bool] = exists().where(
        earlier.c.tenant == _C.tenant,
        earlier.c.endpoint == _C.endpoint,
        earlier.c.ticket_id == _C.ticket_id,
        earlier.c.seq < _C.seq,
        earlier.c.ready_at.is_not(None),
        ~earlier.c.is_attempted,
    )
    ready = lateral(
        select(_C.seq)
        .where(
            _C.tenant == wanted.c.tenant,
            _C.endpoint == wanted.c.endpoint,
            _C.ready_at <= func.clock_timestamp(),
            or_(_C.is_attempted, ~waits_behind),
        )
        .order_by(_C.ready_at, _C.seq)
        .limit(wanted.c.slots)
        .with_for_update(of=WEBHOOKS, skip_locked=True)
    ).alias("ready")
    chosen = select(ready.c.seq).select_from(wanted).join(ready, true()).cte("chosen")
    now = func.clock_timestamp()
    return (
        update(WEBHOOKS)
        .where(_C.seq == chosen.c.seq)
        .values(attempts=_C.attempts + 1, ready_at=now + bindparam("lease", type_=Interval))
        .returning(*_COLUMNS, _C.seq, now.label("now"))
    )


_CLAIM: Final = _claim_statement()
