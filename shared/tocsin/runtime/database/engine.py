"""PostgreSQL engines, our names for constraints, and which errors are worth a retry."""

from collections.abc import Awaitable, Callable
from datetime import datetime

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
_DATA_FAULTS = ("22", "23", "54")  # SQLSTATE classes: data exception, integrity constraint violation, limit exceeded


def new_metadata() -> MetaData:
    """Metadata with our names for constraints and indexes, so that migrations can name them."""
    return MetaData(naming_convention=_NAMES)


def engine(
    url: str,
    application_name: str,
    *,
    pool_size: int = 10,
    statement_seconds: float = 30,
    wait_seconds: float = 10,
    idle_seconds: float = 5,
) -> AsyncEngine:
    """A pool of connections that show as `application_name` (`intake-writer`, `intake-reader`, `intake-relay`).

    No statement, lock wait, idle transaction or dead peer can hold one for ever; nobody waits longer than
    `wait_seconds` for a connection.
    """
    made = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection used last has its statements prepared and its caches warm
        pool_timeout=wait_seconds,
        hide_parameters=True,  # an error that is logged says what failed, not what a caller wrote
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
            },
        },
    )
    event.listen(made.sync_engine.pool, "checkout", _discard_closed)
    return made


def _discard_closed(connection: object, _: object, __: object) -> None:
    """A connection the server closed (it was restarted) is replaced at checkout: a ping that costs no round trip."""
    if connection.driver_connection.is_closed():  # type: ignore[attr-defined]  # asyncpg's, behind SQLAlchemy's adapter
        raise DisconnectionError


async def clock_timestamp(connection: AsyncConnection) -> datetime:
    """The database's clock, now (not at the transaction's start). Real time: map it by the clock before storing it."""
    now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return now


def on_commit(connection: AsyncConnection, act: Callable[[], None]) -> None:
    """Have `act` called once the connection's transaction is committed, and never if it is rolled back."""
    # A connection's listener dies with it: each transaction of ours has a connection object of its own.
    event.listen(connection.sync_connection, "commit", lambda _: act(), once=True)


def is_transient(error: BaseException) -> bool:
    """True if the database or the network failed, not the data: trying the same again later can succeed."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return not str(getattr(error.orig, "sqlstate", None) or "").startswith(_DATA_FAULTS)
    return isinstance(error, OSError | TimeoutError | PoolTimeout | DisconnectionError | ResourceClosedError)


def describe_failure(error: BaseException) -> str:
    """What the database or the network said, in one line; it never repeats a password."""
    said = error.orig.__cause__ or error.orig if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(str(said).split())[:200].rstrip(".") or type(said).__name__


def database_check(source: AsyncEngine) -> Callable[[], Awaitable[str | None]]:
    """A readiness check: the database answers."""

    async def check() -> str | None:
        try:
            async with source.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            if not is_transient(error):
                raise
            return "does not answer"
        return None

    return check
