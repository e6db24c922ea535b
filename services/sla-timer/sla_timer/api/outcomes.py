"""The timer's routes for reports: the clocks decided in a period, and the terms in force."""

from typing import Annotated

from fastapi import APIRouter, Query
from tocsin.characters import Id
from tocsin.events import Category, Channel, ClockName, Severity
from tocsin.instants import InstantInput, render_instant
from tocsin.runtime.http.authentication import MayRead
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.problems import invalid_fields
from tocsin.runtime.http.responses import JsonResponse
from tocsin.validation import FieldError

from sla_timer.api.outcome_list import CURSOR, outcome_page, parse_cursor
from sla_timer.api.outcome_schemas import OutcomeListResponse, TermsResponse
from sla_timer.domain.compliance import ReportFilter
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.outcomes import complete_through, decided_clocks, terms_in_force


def router(context: TimerContext) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1")

    @routes.get(
        "/outcomes",
        summary="List decided clocks",
        response_description="A page",
        response_model=OutcomeListResponse,
        response_model_exclude_unset=True,
    )
    async def list_outcomes(
        caller: MayRead,
        begin: Annotated[InstantInput, Query(alias="from", description="Start of the period, with its zone")],
        end: Annotated[InstantInput, Query(alias="to", description="End of the period, exclusive, with its zone")],
        customer: Annotated[
            Id | None, Query(min_length=1, max_length=10_000, description="Only this customer, by its id")
        ] = None,
        severity: Annotated[
            Annotated[Severity, DIGITS] | None, Query(description="Only clocks with this severity")
        ] = None,
        clock: Annotated[ClockName | None, Query(description="Only this clock")] = None,
        channel: Annotated[Channel | None, Query(description="Only tickets of this channel")] = None,
        category: Annotated[Category | None, Query(description="Only tickets of this category")] = None,
        historic: Annotated[
            bool | None,
            Query(
                description="true: only what was decided before the ticket was posted as history; false: only the rest"
            ),
        ] = None,
        ledger: Annotated[bool, Query(description="Also list each clock's counted and excluded intervals")] = False,
        limit: Annotated[int, Query(ge=1, le=500, description="Largest number of items"), DIGITS] = 100,
        cursor: Annotated[str | None, Query(pattern=CURSOR, description="`next_cursor` of the previous page")] = None,
    ) -> JsonResponse:
        """The clocks met, breached and cancelled in the period, oldest first: those that `GET /v1/compliance` counts.
        Request further pages with `next_cursor` until it is null.
        """
        if end < begin:
            raise invalid_fields([FieldError(field="to", message="must not be before `from`")])
        try:
            after = None if cursor is None else parse_cursor(cursor)
        except ValueError as error:
            raise invalid_fields([FieldError(field="cursor", message="is not a cursor of this list")]) from error
        wanted = ReportFilter(
            tenant=caller.tenant,
            customer=customer,
            severity=severity,
            clock=clock,
            channel=channel,
            category=category,
            historic=historic,
        )
        through = await complete_through(context)
        found = decided_clocks(context, wanted, begin=begin, end=end, after=after, limit=limit + 1)
        page = await outcome_page(found, limit, with_ledger=ledger)
        return JsonResponse(page | {"complete_through": None if through is None else render_instant(through)})

    @routes.get("/terms", summary="Get the terms in force", response_description="The terms")
    async def get_terms(
        _caller: MayRead,
        customer: Annotated[
            Id | None, Query(min_length=1, max_length=10_000, description="The terms of this customer, by its id")
        ] = None,
        at: Annotated[InstantInput | None, Query(description="The instant, with its zone; default: now")] = None,
    ) -> TermsResponse:
        """What the policy in force at an instant promises: targets, channel averages, measures of categories and the
        ladder. A customer without special terms has the general ones.
        """
        return TermsResponse.of(terms_in_force(context, customer=customer, at=at or context.clock.now()))

    return routes
