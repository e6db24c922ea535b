"""The timer's calls: a ticket's clocks with their ledger, simulation, and compliance."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.business_time import micros
from tocsin.instants import InstantInput, render_instant
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse
from tocsin.runtime.kafka.client import TICKETS
from tocsin.runtime.process.clock import TimeSource
from tocsin.validation import FieldError

from sla_timer.domain.compliance import GROUPS, averages, shares
from sla_timer.domain.evaluate import Stored
from sla_timer.domain.ledger import ledger
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.domain.simulate import StoryRequest, answer, simulate
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import VOIDED
from sla_timer.store import reports
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import Store

Reader = Annotated[Caller, Depends(require(TICKETS_READ))]
_GROUP = f"({'|'.join(GROUPS)})?"
_LONGEST_ECHO = 200


def router(reader: AsyncEngine, book: PolicyBook, clock: TimeSource, unconfirmed: Callable[[int], bool]) -> APIRouter:
    """The routes. `unconfirmed(partition)`: deadlines of that partition are judged without proof now."""
    routes = APIRouter(prefix="/v1")

    @routes.get(
        "/tickets/{ticket_id}/clocks", summary="Every clock of a ticket, its ladder, and why each due is what it is"
    )
    async def clocks(ticket_id: UUID, caller: Reader) -> JsonResponse:
        async with reader.connect() as connection:
            # In this order: what the facts are told through must not be newer than the facts.
            progress = await OFFSETS.load(connection, TICKETS)
            loaded = await Store(connection).load([ticket_id])
        if not loaded or loaded[0].ticket.tenant != caller.tenant:
            raise Problem(404, "No ticket with this id has arrived here yet.")
        stored = loaded[0]
        position = progress.get(stored.partition)
        accepted_through = None if position is None else position.accepted_through
        through = stored.known_through(accepted_through)
        without_proof = unconfirmed(stored.partition)
        if without_proof:
            through = max(through, clock.now())
        return JsonResponse(_clocks(stored, through, accepted_through, without_proof, book))

    @routes.post(
        "/simulate",
        summary="The timeline of a story, by the stored policy",
        dependencies=[Depends(require(TICKETS_READ))],
    )
    async def simulation(story: StoryRequest) -> JsonResponse:
        try:
            return JsonResponse(simulate(story, book.policies))
        except ValueError as error:
            raise Problem(422, str(error)) from error

    @routes.get("/compliance", summary="How well the promise was kept in a period")
    async def compliance(
        caller: Reader,
        begin: Annotated[InstantInput, Query(alias="from")],
        end: Annotated[InstantInput, Query(alias="to")],
        group_by: Annotated[
            str,
            Query(
                description="comma-separated, out of clock, severity, customer, month",
                json_schema_extra={"pattern": f"^({_GROUP},)*{_GROUP}$"},
            ),
        ] = "clock",
    ) -> JsonResponse:
        groups = [group for group in group_by.split(",") if group]
        unknown = [group for group in groups if group not in GROUPS]
        if unknown:
            message = f"unknown: {', '.join(unknown)[:_LONGEST_ECHO]}; there are {', '.join(GROUPS)}"
            raise Problem(422, "A grouping is unknown.", errors=[FieldError(field="group_by", message=message)])
        if end < begin:
            raise Problem(
                422, "The period ends before it begins.", errors=[FieldError(field="to", message="lies before `from`")]
            )
        rules = book.rulebook(None).rules[-1]
        async with reader.connect() as connection:
            counted = await reports.outcomes(connection, caller.tenant, begin, end, book.zone)
            answered = await reports.answers(connection, caller.tenant, list(rules.channels), begin, end)
        return JsonResponse(
            {
                "from": render_instant(begin),
                "to": render_instant(end),
                "items": shares(counted, groups),
                "channels": averages(answered, rules.channels, book.zone, clock.now()),
            }
        )

    return routes


def _clocks(
    stored: Stored, through: datetime, accepted_through: datetime | None, unconfirmed: bool, book: PolicyBook
) -> dict[str, Any]:
    until = micros(through)
    timeline = Timeline(stored.story(), book.rulebook(stored.ticket.customer.id)).tell(until)
    accounts = ledger(timeline, until)
    body = answer(timeline, until)
    historic_through = None if stored.historic_through is None else render_instant(stored.historic_through)
    voided = {(item.cycle, item.subject) for item in stored.told if item.kind.startswith(VOIDED)}
    for clock in body["clocks"]:
        decided_at = clock["breached_at"] or clock["ended_at"]
        clock["historic"] = historic_through is not None and decided_at is not None and decided_at <= historic_through
        clock["voided"] = (clock["cycle"], clock["clock"]) in voided
    return body | {
        "ticket_id": str(stored.ticket.ticket_id),
        "facts": max(fact.number for fact in stored.facts),
        "accepted_through": None if accepted_through is None else render_instant(accepted_through),
        "told_to": render_instant(through),
        "unconfirmed": unconfirmed,
        "ledger": accounts,
    }
