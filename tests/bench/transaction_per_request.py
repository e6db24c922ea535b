"""The reference of the intake benchmark: FastAPI stores a ticket and its outbox row in one transaction per request."""

import sys
from typing import Annotated, Any
from uuid import uuid4

import uvicorn
from fastapi import Depends, FastAPI
from sqlalchemy import BigInteger, Column, Identity, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bench.noop import Ticket

metadata = MetaData()
TICKETS = Table(
    "reference_tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("body", JSONB, nullable=False),
)
OUTBOX = Table(
    "reference_outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
)


def application(engine: AsyncEngine) -> FastAPI:
    app = FastAPI()

    async def transaction() -> Any:
        async with engine.begin() as connection:
            yield connection

    @app.post("/v1/tickets", status_code=201)
    async def post(
        ticket: Ticket, connection: Annotated[AsyncConnection, Depends(transaction, scope="function")]
    ) -> dict[str, str]:
        key = uuid4()
        row = {
            "ticket_id": key,
            "source": ticket.source,
            "external_id": ticket.external_id,
            "body": ticket.model_dump(),
        }
        await connection.execute(TICKETS.insert().values(row))
        await connection.execute(OUTBOX.insert().values(key=key.bytes, value=ticket.model_dump_json().encode()))
        return {"ticket_id": str(key), "external_id": ticket.external_id}

    return app


async def create_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    port, url = int(sys.argv[1]), sys.argv[2]
    # As many connections as our own writer has.
    app = application(create_async_engine(url, pool_size=10, max_overflow=0))
    uvicorn.run(app, port=port, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
