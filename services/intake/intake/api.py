"""Intake's routes: where a request begins and its transaction ends."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, Final
from urllib.parse import unquote
from uuid import UUID, uuid4

import orjson
import structlog
from fastapi import APIRouter, Depends, Header, Request
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import ticket_id as id_of
from tocsin.runtime.database import is_transient
from tocsin.runtime.http import JsonResponse, require
from tocsin.runtime.keys import TICKETS_READ, TICKETS_WRITE, Caller
from tocsin.runtime.problems import Problem, invalid

from intake import answers, metrics
from intake.answers import BatchAnswer, EventAnswer, TicketAnswer, TicketList, TicketWithFacts
from intake.bodies import JsonBody, described
from intake.handlers import Desk, TakenTicket, claim_key, take_event, take_tickets, unknown_ticket
from intake.listing import Listing, cursor_before
from intake.requests import Batch, EventRequest, R, TicketItem, TicketRequest, read
from intake.standing import standing
from intake.store import Store

log = structlog.get_logger(__name__)

CHUNK_TICKETS: Final = 50
CHUNK_EVENTS: Final = 500
"""What shares a transaction of a batch: few round trips, and none that lasts (its age is everybody's lateness)."""

MayWrite = Annotated[Caller, Depends(require(TICKETS_WRITE))]
MayRead = Annotated[Caller, Depends(require(TICKETS_READ))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same request within 24 hours counts once; with another request it is 422.",
    ),
]
Outcome = TakenTicket | Problem


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls; `wake` tells the relay of this process that something was committed."""

    desk: Desk
    writer: AsyncEngine
    reader: AsyncEngine
    wake: Callable[[], None]

    async def post_ticket(
        self, caller: MayWrite, body: JsonBody, idempotency_key: IdempotencyKey = None
    ) -> JsonResponse:
        """A ticket of a PSA tool. The same `(source, external_id)` with an equal body is 200 with the first answer."""
        try:
            request = self._read(TicketRequest, body)
        except Problem:
            metrics.count_invalid()
            raise
        async with self.writer.begin() as connection:
            await _claim(connection, caller, idempotency_key, "ticket", request.digest())
            (outcome,) = await take_tickets(self.desk, connection, caller.tenant, [request])
        self._told(request, outcome)
        if isinstance(outcome, Problem):
            raise outcome
        return JsonResponse(answers.ticket_answer(outcome.ticket), answers.status_of(outcome))

    async def post_batch(
        self, caller: MayWrite, body: JsonBody, idempotency_key: IdempotencyKey = None
    ) -> JsonResponse:
        """Up to 500 tickets, each with what happened to it since. A bad item never stops its neighbours."""
        items: list[TicketItem | Problem] = []
        for item in self._read(Batch, body).tickets:
            items.append(self._item(item))
            await asyncio.sleep(0)  # a large batch must not keep the relay of this process from its progress
        if idempotency_key is not None:
            digest = sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
            async with self.writer.begin() as connection:
                await _claim(connection, caller, idempotency_key, "batch", digest)
        valid = [item for item in items if not isinstance(item, Problem)]
        outcomes: list[Outcome] = []
        for chunk in _chunks(valid):
            outcomes += await self._take(caller, chunk)
        taken = iter(outcomes)
        results = [_result(item if isinstance(item, Problem) else next(taken)) for item in items]
        return JsonResponse({"results": results})

    async def post_event(
        self, ticket_id: str, caller: MayWrite, body: JsonBody, idempotency_key: IdempotencyKey = None
    ) -> JsonResponse:
        """What happened to a ticket. The same `event_id` with an equal body is 200 with the first answer."""
        return await self._event(caller, _ticket_id(ticket_id), body, idempotency_key)

    async def post_event_by_external_id(
        self,
        request: Request,
        source: str,
        external_id: str,
        caller: MayWrite,
        body: JsonBody,
        idempotency_key: IdempotencyKey = None,
    ) -> JsonResponse:
        """What happened to the ticket that this source knows by this id; a slash in either is written %2F."""
        segments = request.scope["raw_path"].decode().split("/")
        if len(segments) == _SEGMENTS:
            source, external_id = unquote(segments[-3]), unquote(segments[-2])
        return await self._event(caller, id_of(caller.tenant, source, external_id), body, idempotency_key)

    async def get_ticket(self, ticket_id: str, caller: MayRead) -> JsonResponse:
        """A ticket as it stands, with all its facts."""
        found = _ticket_id(ticket_id)
        async with self.reader.connect() as connection:
            store = Store(connection)
            ticket = await store.ticket(caller.tenant, found)
            if ticket is None:
                raise unknown_ticket()
            facts = await store.facts([found])
        # Its standing is told from the facts that are shown: one may have come between the two queries.
        ticket = replace(ticket, standing=standing(facts[found]))
        return JsonResponse(answers.ticket_with_facts(ticket, facts[found]))

    async def list_tickets(self, caller: MayRead, query: Listing) -> JsonResponse:
        """Tickets, the last received first. Ask with `next_cursor` until it is null."""
        async with self.reader.connect() as connection:
            page = await Store(connection).page(query.filter(caller.tenant), query.limit + 1)
        items = [answers.ticket_answer(ticket) for ticket in page[: query.limit]]
        more = len(page) > query.limit
        cursor = cursor_before(page[query.limit - 1].position) if more else None
        return JsonResponse({"items": items, "next_cursor": cursor})

    async def _event(self, caller: Caller, ticket: UUID, body: object, idempotency_key: str | None) -> JsonResponse:
        request = self._read(EventRequest, body)
        made_id = str(uuid4())
        async with self.writer.begin() as connection:
            digest = ticket.bytes + request.digest()
            made_id = await _claim(connection, caller, idempotency_key, "event", digest, made_id) or made_id
            taken = await take_event(self.desk, connection, caller.tenant, ticket, request, made_id)
        self.wake()
        log.info(
            "event_taken",
            ticket_id=str(ticket),
            type=request.type,
            number=taken.fact.number,
            status=answers.status_of(taken),
        )
        return JsonResponse(answers.event_answer(taken), answers.status_of(taken))

    async def _take(self, caller: Caller, requests: Sequence[TicketRequest]) -> list[Outcome]:
        """Take requests in with one transaction, or, where the database refuses one of them, each with its own."""
        try:
            async with self.writer.begin() as connection:
                outcomes = await take_tickets(self.desk, connection, caller.tenant, requests)
        except DBAPIError as error:
            if is_transient(error):
                raise
            log.exception("tickets_refused_by_the_database", items=len(requests))
            if len(requests) == 1:
                return [Problem(500, "This is our fault, and logged. The other items are not affected.")]
            return [outcome for request in requests for outcome in await self._take(caller, [request])]
        for request, outcome in zip(requests, outcomes, strict=True):
            self._told(request, outcome)
        return outcomes

    def _told(self, request: TicketRequest, outcome: Outcome) -> None:
        if isinstance(outcome, Problem):
            metrics.count_ticket(request.source, request.severity, outcome.status)
            return
        status = answers.status_of(outcome)
        metrics.count_ticket(request.source, outcome.ticket.initial_severity, status)
        log.info("ticket_taken", ticket_id=str(outcome.ticket.ticket_id), status=status)
        self.wake()

    def _item(self, body: object) -> TicketItem | Problem:
        try:
            return self._read(TicketItem, body)
        except Problem as problem:
            metrics.count_invalid()
            return problem

    def _read(self, model: type[R], body: object) -> R:
        try:
            return read(model, body, self.desk.policy.machine_sources)
        except ValidationError as error:
            raise invalid(error) from None


_SEGMENTS: Final = len(["", "v1", "tickets", "by-external", "SOURCE", "ID", "events"])


async def _claim(
    connection: AsyncConnection,
    caller: Caller,
    key: str | None,
    call: str,
    digest: bytes,
    event_id: str | None = None,
) -> str | None:
    """Bind the caller's Idempotency-Key, if there is one, to this request; the event id that it stands for."""
    if key is None:
        return event_id
    return await claim_key(connection, caller.key_id, key, sha256(call.encode() + digest).digest(), event_id)


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


def _ticket_id(text: str) -> UUID:
    """A ticket's id out of a path: what is none belongs to no ticket."""
    try:
        return UUID(text)
    except ValueError:
        raise unknown_ticket() from None


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Problem):
        return {"status": outcome.status, "problem": outcome.as_dict()}
    return {"status": answers.status_of(outcome), "ticket": answers.ticket_answer(outcome.ticket)}


def router(desk: Desk, writer: AsyncEngine, reader: AsyncEngine, wake: Callable[[], None]) -> APIRouter:
    """Intake's calls below /v1."""
    calls = Calls(desk, writer, reader, wake)
    routes = APIRouter(prefix="/v1/tickets", tags=["tickets"])
    routes.post(
        "",
        summary="Post a ticket",
        status_code=201,
        responses={201: {"model": TicketAnswer}, 200: {"model": TicketAnswer, "description": "Known already"}},
        openapi_extra=described(TicketRequest),
    )(calls.post_ticket)
    routes.post(
        "/batch",
        summary="Post many tickets, with their history",
        responses={200: {"model": BatchAnswer}},
        openapi_extra=described(Batch),
    )(calls.post_batch)
    event: dict[str, Any] = {
        "status_code": 201,
        "responses": {201: {"model": EventAnswer}, 200: {"model": EventAnswer, "description": "Known already"}},
        "openapi_extra": described(EventRequest),
    }
    routes.post("/{ticket_id}/events", summary="Post an event of a ticket", **event)(calls.post_event)
    routes.post(
        "/by-external/{source}/{external_id:path}/events",
        summary="Post an event of a ticket by its own source and id",
        **event,
    )(calls.post_event_by_external_id)
    routes.get("", summary="List tickets", responses={200: {"model": TicketList}})(calls.list_tickets)
    routes.get("/{ticket_id}", summary="Read a ticket", responses={200: {"model": TicketWithFacts}})(calls.get_ticket)
    return routes
