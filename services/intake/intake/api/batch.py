"""`POST /v1/tickets/batch`: many tickets, each by itself."""

import asyncio
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

import orjson
import structlog
from fastapi import APIRouter
from sqlalchemy.exc import DBAPIError
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import Front, IdempotencyKey, MayWrite
from intake.api.json_body import JsonBody, described
from intake.api.schemas import BatchAnswer, status_of, ticket_answer
from intake.domain.ticket_request import Batch, TicketItem
from intake.handlers import TakenTicket, claim, held_key, take_tickets
from intake.store import HeldKey, KeyUse

log = structlog.get_logger(__name__)

CHUNK_TICKETS: Final = 50
CHUNK_EVENTS: Final = 500
"""What shares a transaction: few round trips, and none that lasts (its age is everybody's lateness)."""

Outcome = TakenTicket | Problem


def add(routes: APIRouter, front: Front) -> None:
    """Add the call."""

    @routes.post(
        "/batch",
        summary="Post many tickets, with their history",
        responses={200: {"model": BatchAnswer}},
        openapi_extra=described(Batch),
    )
    async def post_batch(caller: MayWrite, body: JsonBody, idempotency_key: IdempotencyKey = None) -> JsonResponse:
        """Up to 500 tickets, each with what happened to it since. A bad item never stops its neighbours."""
        items = await _items(front, body)
        if idempotency_key is not None:
            await _claim(front, held_key(caller.key_id, idempotency_key), items)
        outcomes: list[Outcome] = []
        for chunk in _chunks([item for item in items if not isinstance(item, Problem)]):
            outcomes += await _take(front, caller.tenant, chunk)
        taken = iter(outcomes)
        results = [_result(item if isinstance(item, Problem) else next(taken)) for item in items]
        return JsonResponse({"results": results})


async def _items(front: Front, body: object) -> list[TicketItem | Problem]:
    items: list[TicketItem | Problem] = []
    for item in front.read(Batch, body).tickets:
        try:
            items.append(front.read_ticket(TicketItem, item))
        except Problem as problem:
            items.append(problem)
        await asyncio.sleep(0)  # a large batch must not keep the relay of this process from its progress
    return items


async def _claim(front: Front, held: HeldKey, items: Sequence[TicketItem | Problem]) -> None:
    use = KeyUse(sha256(b"batch" + _digest(items)).digest())
    async with front.writer.begin() as connection:
        found = (await claim(connection, {held: use}))[held]
    if isinstance(found, Problem):
        raise found


def _digest(items: Sequence[TicketItem | Problem]) -> bytes:
    """Equal for batches that say the same; of an item that says nothing valid, what is wrong with it counts."""
    return b"".join(
        sha256(orjson.dumps(item.as_dict())).digest() if isinstance(item, Problem) else item.digest() for item in items
    )


def _chunks(items: Sequence[TicketItem]) -> Iterator[list[TicketItem]]:
    """The items in their order, as many together as one short transaction may take."""
    chunk: list[TicketItem] = []
    events = 0
    for item in items:
        if chunk and (len(chunk) == CHUNK_TICKETS or events + len(item.events) > CHUNK_EVENTS):
            yield chunk
            chunk, events = [], 0
        chunk.append(item)
        events += len(item.events)
    if chunk:
        yield chunk


async def _take(front: Front, tenant: str, items: Sequence[TicketItem]) -> Sequence[Outcome]:
    """Take items in with one transaction, or, where the database refuses one of them, each with its own."""
    outcomes: Sequence[Outcome]
    try:
        async with front.writer.begin() as connection:
            outcomes = await take_tickets(front.desk, connection, tenant, items)
    except DBAPIError as error:
        if is_transient(error):
            raise
        if len(items) > 1:
            return [outcome for item in items for outcome in await _take(front, tenant, [item])]
        log.exception("ticket_refused_by_the_database", source=items[0].source)
        outcomes = [Problem(500, "This is our fault, and logged. The other items are not affected.")]
    front.wake()
    for item, outcome in zip(items, outcomes, strict=True):
        front.told(item, outcome)
    return outcomes


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Problem):
        return {"status": outcome.status, "problem": outcome.as_dict()}
    return {"status": status_of(outcome), "ticket": ticket_answer(outcome.ticket)}
