"""The endpoints that webhooks.yaml has ever had: since when, and their health."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.bulk import insert_new

from board.domain.webhooks.delivery import EndpointHealth
from board.store.tables import WEBHOOK_ENDPOINTS

EndpointKey = tuple[str, str]
"""A tenant, and the id of its endpoint."""

_C = WEBHOOK_ENDPOINTS.c


async def add_endpoints(connection: AsyncConnection, keys: Collection[EndpointKey], since: datetime) -> None:
    """Store the endpoints that are not known yet. `since` is business time."""
    rows = [{"tenant": tenant, "endpoint": endpoint, "since": since} for tenant, endpoint in keys]
    if rows:
        await insert_new(connection, WEBHOOK_ENDPOINTS, rows)


async def load_since(connection: AsyncConnection) -> Mapping[EndpointKey, datetime]:
    """The business instant from which each endpoint gets events."""
    rows = await connection.execute(select(_C.tenant, _C.endpoint, _C.since))
    return {(row.tenant, row.endpoint): row.since for row in rows}


async def load_health(connection: AsyncConnection) -> Mapping[EndpointKey, EndpointHealth]:
    """The health of every endpoint."""
    rows = await connection.execute(select(WEBHOOK_ENDPOINTS))
    return {(row.tenant, row.endpoint): _health(row) for row in rows}


async def lock_health(connection: AsyncConnection, key: EndpointKey) -> EndpointHealth:
    """The health of the endpoint, locked until the end of the transaction."""
    query = select(WEBHOOK_ENDPOINTS).where(_C.tenant == key[0], _C.endpoint == key[1]).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return EndpointHealth() if row is None else _health(row)


async def save_health(connection: AsyncConnection, key: EndpointKey, health: EndpointHealth) -> None:
    """Store the health of the endpoint."""
    values = {name: getattr(health, name) for name in EndpointHealth.__dataclass_fields__}
    query = update(WEBHOOK_ENDPOINTS).where(_C.tenant == key[0], _C.endpoint == key[1])
    await connection.execute(query.values(values))


async def reopen_endpoint(connection: AsyncConnection, key: EndpointKey) -> None:
    """Send to the endpoint again at once, also if its URL responded 410."""
    query = update(WEBHOOK_ENDPOINTS).where(_C.tenant == key[0], _C.endpoint == key[1])
    await connection.execute(query.values(is_gone=False, paused_until=None))


def _health(row: Row[tuple[object, ...]]) -> EndpointHealth:
    return EndpointHealth(
        failures=row.failures,
        failing_since=row.failing_since,
        paused_until=row.paused_until,
        is_gone=row.is_gone,
        url=row.url,
    )
