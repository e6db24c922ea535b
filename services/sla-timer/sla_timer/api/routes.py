"""The timer's routes: the clocks of tickets, a ticket's ledger, simulation, and compliance."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query
from tocsin.characters import Id
from tocsin.events import Category, Channel, ClockName, Severity, UuidInput
from tocsin.events import ticket_id as id_of
from tocsin.instants import InstantInput
from tocsin.runtime.http.api_keys import TICKETS_READ
from tocsin.runtime.http.authentication import MayRead, require
from tocsin.runtime.http.external_ticket import ExternalTicket
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.problems import Problem, invalid_fields
from tocsin.runtime.http.responses import JsonResponse
from tocsin.validation import FieldError

from sla_timer.api.schemas import (
    CLOCKS_EXAMPLE,
    SIMULATION_EXAMPLE,
    ChannelAverageResponse,
    ComplianceResponse,
    CurrentClocksListResponse,
    CurrentClocksRequest,
    OutcomeShareResponse,
    TicketClocksResponse,
    TimelineResponse,
)
from sla_timer.api.ticket_clocks import current_clocks_json, ticket_clocks_json
from sla_timer.domain.compliance import Grouping, ReportFilter
from sla_timer.domain.simulate import SimulationRequest, simulate
from sla_timer.handlers import queries
from sla_timer.handlers.context import TimerContext
from sla_timer.workers.source_probe import SourceProbe

_GROUPING: Final = f"({'|'.join(Grouping)})?"
_LONGEST_ECHO: Final = 200
_CLOCKS: Final[dict[str, Any]] = {
    "response_description": "The ticket's clocks and ladder",
    "response_model": TicketClocksResponse,
}


def router(context: TimerContext, source_probe: SourceProbe) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/tickets/{ticket_id}/clocks", summary="Get a ticket's clocks, ladder and ledger", **_CLOCKS)
    async def get_clocks(
        ticket_id: Annotated[UuidInput, Path(description="The id from intake's response")], caller: MayRead
    ) -> JsonResponse:
        """The ticket's timeline, evaluated to `told_to`. `ledger` lists the counted and excluded intervals of each
        clock, with the reason. 404 until the ticket has arrived.
        """
        return await load_clocks(caller.tenant, ticket_id)

    @routes.get(
        "/tickets/by-external/{source}/{external_id:path}/clocks",
        summary="Get a ticket's clocks by the ticket's own id",
        **_CLOCKS,
    )
    async def get_clocks_by_external_id(caller: MayRead, ticket: ExternalTicket) -> JsonResponse:
        """The timeline of the ticket that `source` knows by `external_id`. 404 until the ticket has arrived."""
        return await load_clocks(caller.tenant, id_of(caller.tenant, *ticket))

    async def load_clocks(tenant: str, ticket_id: UUID) -> JsonResponse:
        found = await queries.ticket_timeline(
            context, tenant=tenant, ticket_id=ticket_id, silent_partitions=source_probe.silent_partitions
        )
        return JsonResponse(ticket_clocks_json(found))

    @routes.post(
        "/clocks",
        summary="Get the clocks of several tickets",
        response_description="The tickets that have arrived",
        response_model=CurrentClocksListResponse,
    )
    async def get_current_clocks(
        caller: MayRead, request: Annotated[CurrentClocksRequest, Body(examples=[CLOCKS_EXAMPLE])]
    ) -> JsonResponse:
        """The timelines of up to 200 tickets, in the order of the request. Each is what
        `GET /v1/tickets/{ticket_id}/clocks` returns without `events` and `ledger`; each clock also has its target and
        the time that is left. Unknown tickets are left out.
        """
        timelines = queries.ticket_timelines(
            context,
            tenant=caller.tenant,
            ticket_ids=request.ticket_ids,
            silent_partitions=source_probe.silent_partitions,
        )
        return JsonResponse({"items": [current_clocks_json(found) async for found in timelines]})

    @routes.post(
        "/simulate",
        summary="Simulate a ticket",
        response_description="The timeline",
        response_model=TimelineResponse,
        dependencies=[Depends(require(TICKETS_READ))],
    )
    async def simulate_ticket(
        request: Annotated[SimulationRequest, Body(examples=[SIMULATION_EXAMPLE])],
    ) -> JsonResponse:
        """Evaluates the facts up to `until` with the stored versions of the policy: every clock, ladder step and event.
        Stores nothing.
        """
        return JsonResponse(simulate(request, context.policies.policies))

    @routes.get(
        "/compliance",
        summary="Get a compliance report",
        response_description="The report",
        response_model_exclude_unset=True,
    )
    async def get_compliance(
        caller: MayRead,
        begin: Annotated[InstantInput, Query(alias="from", description="Start of the period, with its zone")],
        end: Annotated[InstantInput, Query(alias="to", description="End of the period, exclusive, with its zone")],
        group_by: Annotated[
            str,
            Query(
                description=f"Comma-separated: {', '.join(Grouping)}",
                json_schema_extra={"pattern": f"^({_GROUPING},)*{_GROUPING}$"},
            ),
        ] = Grouping.CLOCK,
        customer: Annotated[
            Id | None,
            Query(min_length=1, max_length=10_000, description="Only this customer, by its id"),
        ] = None,
        severity: Annotated[
            Annotated[Severity, DIGITS] | None,
            Query(description="Only clocks with this severity, and only tickets that have it"),
        ] = None,
        clock: Annotated[ClockName | None, Query(description="Only this clock; channels are not filtered")] = None,
        channel: Annotated[Channel | None, Query(description="Only tickets of this channel")] = None,
        category: Annotated[Category | None, Query(description="Only tickets of this category")] = None,
        historic: Annotated[
            bool | None,
            Query(
                description="true: only what was decided before the ticket was posted as history; false: only the rest"
            ),
        ] = None,
    ) -> ComplianceResponse:
        """The numbers of clocks met, breached and cancelled in the period, and the average response times of channels
        by calendar month. All filters must match; an unknown customer has no numbers.
        """
        groupings = _parse_groupings(group_by)
        if end < begin:
            raise invalid_fields([FieldError(field="to", message="must not be before `from`")])
        wanted = ReportFilter(
            tenant=caller.tenant,
            customer=customer,
            severity=severity,
            clock=clock,
            channel=channel,
            category=category,
            historic=historic,
        )
        found = await queries.compliance(context, wanted, begin=begin, end=end, groupings=sorted(groupings))
        return ComplianceResponse.model_validate(
            {
                "from": begin,
                "to": end,
                "items": [OutcomeShareResponse.of(share, groupings) for share in found.outcomes],
                "channels": [ChannelAverageResponse.model_validate(average) for average in found.channels],
            }
        )

    return routes


def _parse_groupings(text: str) -> frozenset[Grouping]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in list(Grouping)]
    if unknown:
        message = f"unknown: {', '.join(unknown)[:_LONGEST_ECHO]}; known are {', '.join(Grouping)}"
        raise Problem(422, "Unknown group_by value.", errors=[FieldError(field="group_by", message=message)])
    return frozenset(map(Grouping, names))
