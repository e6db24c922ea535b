"""The timer's routes: a ticket's clocks with their ledger, simulation, and compliance."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query
from tocsin.instants import InstantInput
from tocsin.runtime.http.api_keys import TICKETS_READ
from tocsin.runtime.http.authentication import MayRead, require
from tocsin.runtime.http.problems import Problem, invalid_fields
from tocsin.runtime.http.responses import JsonResponse
from tocsin.validation import FieldError

from sla_timer.api.schemas import (
    SIMULATION_EXAMPLE,
    ChannelAverageResponse,
    ComplianceResponse,
    OutcomeShareResponse,
    TicketClocksResponse,
    TimelineResponse,
)
from sla_timer.api.ticket_clocks import ticket_clocks_json
from sla_timer.domain.compliance import Grouping
from sla_timer.domain.simulate import SimulationRequest, simulate
from sla_timer.handlers import queries
from sla_timer.handlers.context import TimerContext
from sla_timer.workers.jobs import SourceProbe

_GROUPING: Final = f"({'|'.join(Grouping)})?"
_LONGEST_ECHO: Final = 200


def router(context: TimerContext, source_probe: SourceProbe) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1")

    @routes.get(
        "/tickets/{ticket_id}/clocks",
        summary="Get a ticket's clocks, ladder and ledger",
        response_description="The ticket's clocks and ladder",
        response_model=TicketClocksResponse,
    )
    async def get_clocks(
        ticket_id: Annotated[UUID, Path(description="The id from intake's response")], caller: MayRead
    ) -> JsonResponse:
        """The ticket's timeline, evaluated to `told_to`. `ledger` lists the counted and excluded intervals of each
        clock, with the reason. 404 until the ticket has arrived.
        """
        found = await queries.ticket_timeline(
            context, tenant=caller.tenant, ticket_id=ticket_id, silent_partitions=source_probe.silent_partitions
        )
        return JsonResponse(ticket_clocks_json(found))

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
    ) -> ComplianceResponse:
        """The numbers of clocks met, breached and cancelled in the period, and the average response times of channels
        by calendar month.
        """
        groupings = _parse_groupings(group_by)
        if end < begin:
            raise invalid_fields([FieldError(field="to", message="must not be before `from`")])
        found = await queries.compliance(
            context, tenant=caller.tenant, begin=begin, end=end, groupings=sorted(groupings)
        )
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
