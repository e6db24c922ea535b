"""PostgreSQL engines, our names for constraints, and which errors are worth a retry."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import asyncpg
import orjson
from sqlalchemy import MetaData, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_NAMES = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
DriverConnection: TypeAlias = asyncpg.Connection
_DATA_FAULTS = ("22", "23", "54")  # SQLSTATE classes: data exception, integrity constraint violation, limit exceeded


def new_metadata() -> MetaData:
    """Metadata that names constraints and indexes by our convention, so that migrations can refer to them."""
    return MetaData(naming_convention=_NAMES)


def engine(
    url: str,
    application_name: str,
    *,
    pool_size: int = 10,
    statement_seconds: float = 30,
    wait_seconds: float = 10,
    idle_seconds: float = 5,
    read_only: bool = False,
) -> AsyncEngine:
    """A connection pool whose connections carry `application_name` (`intake-writer`, `intake-reader`, ...).

    Statements, lock waits, idle transactions and lost peers all time out. `wait_seconds` is the longest wait for a
    connection. With `read_only`, PostgreSQL rejects every statement that writes.
    """
    created = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection used last has its statements prepared and its caches warm
        pool_timeout=wait_seconds,
        hide_parameters=True,  # logged errors must not contain what a caller sent
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": min(5, wait_seconds),
            "command_timeout": statement_seconds + 5,
            "server_settings": {
                "application_name": application_name,
                "timezone": "UTC",
                "statement_timeout": f"{statement_seconds * 1000:.0f}",
                "lock_timeout": f"{min(statement_seconds, 10) * 1000:.0f}",
                "idle_in_transaction_session_timeout": f"{idle_seconds * 1000:.0f}",
                "client_connection_check_interval": "1000",
                **({"default_transaction_read_only": "on"} if read_only else {}),
            },
        },
    )
    event.listen(created.sync_engine.pool, "checkout", _discard_closed)
    return created


def _discard_closed(connection: object, _: object, __: object) -> None:
    """Replace a connection that the server has closed (it was restarted): a ping without a round trip."""
    if connection.driver_connection.is_closed():  # type: ignore[attr-defined]  # asyncpg's, behind SQLAlchemy's adapter
        raise DisconnectionError


async def driver_connection(connection: AsyncConnection) -> DriverConnection:
    """asyncpg's connection behind SQLAlchemy's: a short statement takes a tenth of the CPU time.

    A statement belongs to the transaction that `connection` has begun, or to none if it is in autocommit mode.
    """
    return (await connection.get_raw_connection()).driver_connection


async def clock_timestamp(connection: AsyncConnection) -> datetime:
    """The database's clock now (not at the transaction's start), in real time."""
    now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return now


def on_commit(connection: AsyncConnection, act: Callable[[], None]) -> None:
    """Call `act` when the connection's transaction is committed, just before it is; never if it is rolled back.

    For counts and log lines only: others do not see the transaction's rows yet.
    """
    # The listener lives as long as the connection object, and every transaction of ours has its own.
    event.listen(connection.sync_connection, "commit", lambda _: act(), once=True)


def is_transient(error: BaseException) -> bool:
    """True if the database or the network failed, not the data: a retry can succeed."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return _is_transient_state(getattr(error.orig, "sqlstate", None))
    if isinstance(error, asyncpg.PostgresError):
        return _is_transient_state(error.sqlstate)
    if isinstance(error, asyncpg.InterfaceError):  # the connection is closed; a wrong argument is a ValueError as well
        return not isinstance(error, ValueError)
    return isinstance(error, OSError | TimeoutError | PoolTimeout | DisconnectionError | ResourceClosedError)


def _is_transient_state(sqlstate: str | None) -> bool:
    return not str(sqlstate or "").startswith(_DATA_FAULTS)


def describe_failure(error: BaseException) -> str:
    """The message of the database or the network, in one line and without a password."""
    cause = error.orig.__cause__ or error.orig if isinstance(error, DBAPIError) and error.orig else error
    default = "it did not respond in time" if isinstance(cause, TimeoutError) else "the connection failed"
    return " ".join(str(cause).split())[:200].rstrip(".") or default


def database_check(source: AsyncEngine) -> Callable[[], Awaitable[str | None]]:
    """A readiness check that runs a query."""

    async def check() -> str | None:
        try:
            async with source.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            if not is_transient(error):
                raise
            return "does not respond"
        return None

    return check
