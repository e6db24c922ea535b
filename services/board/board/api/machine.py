"""The board's routes for machines: deadlines ahead as JSON and as an iCalendar, and a ticket by the id in its tool."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from pydantic import BeforeValidator, WithJsonSchema
from starlette.responses import Response
from tocsin.business_time import micros, to_datetime
from tocsin.characters import Id
from tocsin.events import Severity
from tocsin.runtime.http.authentication import MayRead, MayReadByUrl
from tocsin.runtime.http.external_ticket import ExternalTicket
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import page_length

from board.api.at_risk_schemas import AtRiskItemResponse, AtRiskResponse
from board.api.ticket_schemas import TicketOverviewResponse
from board.domain.at_risk import WITHIN_PATTERN, AtRiskPosition, ComingDeadline, parse_within
from board.domain.board_filter import BoardFilter
from board.errors import TicketNotOnBoardError
from board.handlers.machine_queries import MachineContext, at_risk_page, ticket_overview

_NOT_FOUND: Final = "No ticket with this id has arrived yet."
_MICROSECOND: Final = timedelta(microseconds=1)
_CURSOR: Final = r"^[0-9]{1,16}\.[0-9]{1,16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[a-z]+$"
_CALENDAR_HEADERS: Final = {
    "Cache-Control": "private, max-age=60",
    "Content-Disposition": 'inline; filename="deadlines.ics"',
    "Referrer-Policy": "no-referrer",  # the address may contain an API key
    "Vary": "Authorization",
}
_CALENDAR_EXAMPLE: Final = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//tocsin//deadlines//EN
METHOD:PUBLISH
NAME:SLA deadlines
REFRESH-INTERVAL;VALUE=DURATION:PT5M
BEGIN:VEVENT
SUMMARY:Severity 1 resolution due: Mail is down for the whole office (Acme Logistics)
DTSTART:20260609T121000Z
DTSTAMP:20260609T100900Z
UID:1f2179db-15df-5301-954e-79cce3c08d79.1.resolution@tocsin
SEQUENCE:2
CATEGORIES:severity 1,resolution
DESCRIPTION:Ticket SR-1042 in connectwise\\nCustomer: Acme Logistics\\nAssignee: Maya Lindqvist\\nTarget: 24 hours
PRIORITY:1
TRANSP:TRANSPARENT
END:VEVENT
END:VCALENDAR
"""

_Within = Annotated[
    timedelta,
    BeforeValidator(lambda value: parse_within(value) if isinstance(value, str) else value),
    WithJsonSchema({"type": "string", "pattern": WITHIN_PATTERN}),
]
_Customer = Annotated[Id | None, Query(min_length=1, max_length=10_000, description="Only this customer, by its id")]
_Severity = Annotated[Annotated[Severity, DIGITS] | None, Query(description="Only tickets of this severity")]


def router(context: MachineContext) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["machines"])

    @routes.get("/at-risk", summary="List the deadlines ahead", response_description="A page")
    async def get_at_risk(
        caller: MayRead,
        within: Annotated[
            _Within | None,
            Query(description="The most time left, as the clock counts: 30m, 4h or 2d (31d at most); default: 4h"),
        ] = None,
        customer: _Customer = None,
        severity: _Severity = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Largest number of items"), DIGITS] = 100,
        cursor: Annotated[
            str | None, Query(pattern=_CURSOR, max_length=100, description="`next_cursor` of the previous page")
        ] = None,
    ) -> AtRiskResponse:
        """Running clocks of open tickets, those with the least time left first, and who would be notified if the
        deadline passed. Clocks that are overdue, paused or ended are left out. All pages are as of the same instant:
        request further ones with `next_cursor` and the same filters until it is null.
        """
        most = within or timedelta(hours=4)
        wanted = BoardFilter(caller.tenant, customer=customer, severity=severity)
        after = None if cursor is None else _position(cursor)
        page = await at_risk_page(context, wanted, within=most, after=after, limit=limit)
        directory = context.directory.current()
        items = tuple(AtRiskItemResponse.of(deadline, page, directory) for deadline in page.deadlines)
        length = page_length(items, limit)
        is_last = length == len(items) and not page.has_more
        return AtRiskResponse(
            as_of=page.as_of,
            within_seconds=most.total_seconds(),
            items=items[:length],
            next_cursor=None if is_last else _cursor(page.as_of, page.deadlines[length - 1]),
        )

    @routes.get(
        "/deadlines.ics",
        summary="Get the deadlines ahead as a calendar",
        response_class=Response,
        response_description="The calendar",
        responses={
            200: {"content": {"text/calendar": {"schema": {"type": "string"}, "example": _CALENDAR_EXAMPLE}}},
            304: {"description": "The calendar is as `If-None-Match` says"},
        },
    )
    async def get_deadline_calendar(
        caller: MayReadByUrl,
        within: Annotated[
            _Within | None,
            Query(description="How far ahead: 30m, 4h or 2d (31d at most); default: 24h"),
        ] = None,
        customer: _Customer = None,
        severity: _Severity = None,
        if_none_match: Annotated[str | None, Header(description="`ETag` of an earlier response")] = None,
    ) -> Response:
        """An iCalendar with an event at each deadline of a running clock, for calendar programs that subscribe to an
        address. An event keeps its UID while its deadline moves, and leaves the calendar when its clock ends or pauses.

        A program that cannot send headers gives its API key as `?key=KEY`. The scope of such a key must be
        `tickets:read` alone. Proxies may log addresses: give each program a key with an end, and delete it when it is
        no longer used.
        """
        wanted = BoardFilter(caller.tenant, customer=customer, severity=severity)
        calendar = await context.calendars.load(wanted, within=within or timedelta(hours=24))
        headers = {"ETag": f'"{sha256(calendar).hexdigest()[:32]}"', **_CALENDAR_HEADERS}
        if if_none_match is not None and _matches(if_none_match, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(calendar, headers=headers, media_type="text/calendar")

    @routes.get(
        "/tickets/by-external/{source}/{external_id:path}",
        summary="Get a ticket's deadlines and escalation by the ticket's own id",
        response_description="The ticket",
        responses={404: error_response("The ticket has not arrived", Problem(404, _NOT_FOUND))},
    )
    async def get_ticket_status(caller: MayRead, ticket: ExternalTicket) -> TicketOverviewResponse:
        """Everything that a PSA's own screen shows of the ticket that `source` knows by `external_id`, in one call: its
        deadlines with outcome and time left, the tier, the ladder with the people of each step, and links.
        """
        source, external_id = ticket
        try:
            overview = await ticket_overview(context, tenant=caller.tenant, source=source, external_id=external_id)
        except TicketNotOnBoardError as error:
            raise Problem(404, _NOT_FOUND) from error
        return TicketOverviewResponse.of(overview, context.directory.current(), context.links)

    return routes


def _cursor(as_of: datetime, last: ComingDeadline) -> str:
    left, ticket_id, clock = last.position
    return f"{micros(as_of)}.{left // _MICROSECOND}.{ticket_id}.{clock}"


def _position(cursor: str) -> AtRiskPosition:
    as_of, left, ticket_id, clock = cursor.split(".")
    return AtRiskPosition(to_datetime(int(as_of)), int(left) * _MICROSECOND, ticket_id, clock)


def _matches(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in header.split(","))
