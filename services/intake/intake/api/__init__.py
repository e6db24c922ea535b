"""Intake's routes: where a request begins and its transaction ends."""

from collections.abc import Callable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.api import batch, events, ticket_reads, tickets
from intake.api.dependencies import Front
from intake.handlers.context import IngestContext
from intake.workers.write_queue import Taking


def router(context: IngestContext, writer: AsyncEngine, reader: AsyncEngine, wake: Callable[[], None]) -> APIRouter:
    """Intake's calls below /v1; `wake` tells the relay of this process that something was committed."""
    front = Front(context, writer, Taking(context, writer, wake), wake)
    routes = APIRouter(prefix="/v1/tickets", tags=["tickets"])
    tickets.add(routes, front)
    batch.add(routes, front)
    events.add(routes, front)
    ticket_reads.add(routes, reader)
    return routes
