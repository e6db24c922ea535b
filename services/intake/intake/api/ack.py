"""`GET` and `POST /ack/{token}`: the page behind the link in an escalation mail.

The token alone authorizes. Without a cookie, no other site can abuse the page. Mail scanners follow links, so only the
POST changes anything. The token is a secret and is never logged.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

import structlog
from fastapi import APIRouter, Path, Request
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response
from tocsin.acknowledgement import ExpiredLinkError, InvalidLinkError, LinkSigner, NotifiedPerson
from tocsin.events import Contact, Severity, Tier, UpcomingStep
from tocsin.instants import Instant
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.query_parameters import ANY_QUERY
from tocsin.runtime.http.responses import JsonResponse, ResponseModel

from intake import metrics
from intake.api import ack_pages
from intake.api.ack_pages import Page
from intake.domain.acknowledgement import LinkState
from intake.errors import TicketNotFoundError
from intake.handlers.acknowledgement import TicketLink, acknowledge, load_link
from intake.handlers.context import IngestContext

log = structlog.get_logger(__name__)

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": ack_pages.CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class AcknowledgedByResponse(ResponseModel):
    """An acknowledgement, and who made it."""

    at: Instant
    by: str | None


class AcknowledgementResponse(ResponseModel):
    """The link and the state of its ticket."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "state": "acknowledged",
                    "person": "ruth.adeyemi",
                    "name": "Ruth Adeyemi",
                    "tier": {
                        "number": 2,
                        "role": "senior_it_operations_manager",
                        "title": "Senior IT Operations Manager",
                    },
                    "upcoming": {
                        "at": "2026-06-09T15:00:00.000000Z",
                        "tier": {"number": 3, "role": "it_operations_director", "title": "IT Operations Director"},
                    },
                    "expires_at": "2026-06-16T14:00:00.000000Z",
                    "ticket_id": "5f3a1c70-7a55-5a3c-9d43-0c6f3c1f8f11",
                    "external_id": "SR-1042",
                    "summary": "Mail is down",
                    "customer": "Acme",
                    "severity": 1,
                    "affected_services": ["E-mail"],
                    "contact": {"name": "Sam de Vries", "email": None, "phone": "+31 10 555 0142"},
                    "due_at": "2026-06-09T13:00:00.000000Z",
                    "notified": [
                        {
                            "tier": 1,
                            "title": "Service Desk Team Lead",
                            "name": "Maya Lindqvist",
                            "at": "2026-06-09T13:00:00.000000Z",
                        }
                    ],
                    "other_acknowledgements": [{"at": "2026-06-09T13:20:00.000000Z", "by": "maya.lindqvist"}],
                    "acknowledged_at": "2026-06-09T14:10:00.000000Z",
                    "held_until": "2026-06-09T15:10:00.000000Z",
                }
            ]
        }
    )

    state: LinkState
    person: str
    name: str
    tier: Tier
    upcoming: UpcomingStep | None = Field(description="The next step as planned when the mail was written")
    expires_at: Instant
    ticket_id: UUID
    external_id: str
    summary: str
    customer: str
    severity: Severity
    affected_services: tuple[str, ...]
    contact: Contact
    due_at: Instant | None = Field(description="The resolution deadline when the mail was written")
    notified: tuple[NotifiedPerson, ...] = Field(description="Who was notified before, the highest tier first")
    other_acknowledgements: tuple[AcknowledgedByResponse, ...] = Field(
        description="By others, or for other steps, since the ticket was opened or reopened"
    )
    acknowledged_at: Instant | None
    held_until: Instant | None = Field(description="The earliest instant of the next tier")

    @classmethod
    def of(cls, found: TicketLink) -> Self:
        link, ticket, status = found.link, found.ticket, found.status
        return cls(
            state=status.state,
            person=link.person,
            name=link.name,
            tier=link.tier,
            upcoming=link.upcoming,
            expires_at=link.expires_at,
            ticket_id=link.ticket_id,
            external_id=ticket.external_id,
            summary=ticket.body["summary"],
            customer=ticket.body["customer"]["name"],
            severity=status.history.status.severity,
            affected_services=ticket.body["affected_services"],
            contact=ticket.body["contact"],
            due_at=link.due_at,
            notified=link.notified,
            other_acknowledgements=tuple(
                AcknowledgedByResponse(at=fact.occurred_at, by=fact.actor) for fact in status.other_acknowledgements
            ),
            acknowledged_at=status.acknowledgement.occurred_at if status.acknowledgement else None,
            held_until=found.held_until,
        )


def _html(title: str) -> dict[str, Any]:
    return {"text/html": {"schema": {"type": "string"}, "example": f"<!doctype html><title>{title}</title>..."}}


def _document_page(status: int, page: Page) -> dict[str, Any]:
    response = error_response(page.title, _problem(status, page))
    return {**response, "content": {**response["content"], **_html(page.title)}}


def _problem(status: int, page: Page, headers: dict[str, str] | None = None) -> Problem:
    return Problem(status, " ".join(page.sentences), title=page.title, headers=headers)


_OK: Final[dict[str, Any]] = {
    "model": AcknowledgementResponse,
    "description": "The page, or JSON if `Accept` asks for it",
    "content": _html("Acknowledged"),
}
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    404: _document_page(404, ack_pages.invalid_link_page()),
    409: _document_page(409, Page("Nothing to acknowledge", ("SR-1042 was resolved by ada.", "No action needed."))),
    410: _document_page(410, Page("Link expired", ("This link expired at 2026-06-15 12:00 UTC.",))),
    503: _document_page(503, ack_pages.unavailable_page()),
}
_LINKS: Final = {"page": link("GET /ack/{token}", "Open the page again", token="$request.path.token")}
Token = Annotated[str, Path(description="The token in the link of the mail", examples=["eyJ0ZW5hbnQiOiJkZWZhdWx0Ig.x"])]


def router(
    context: IngestContext, writer: AsyncEngine, reader: AsyncEngine, wake: Callable[[], None], signer: LinkSigner
) -> APIRouter:
    """The routes. `wake` tells this process's relay that events were committed."""
    routes = APIRouter(tags=["acknowledgement"], dependencies=[ANY_QUERY])

    @routes.get(
        "/ack/{token}",
        summary="Show the acknowledgement page",
        response_class=Response,
        responses={200: _OK, **_ERRORS},
    )
    async def get_acknowledgement(request: Request, token: Token) -> Response:
        """Returns a page with a button. Changes nothing, because mail scanners follow links."""
        return await _respond(request, view, token)

    routes.add_api_route("/ack/{token}", get_acknowledgement, methods=["HEAD"], include_in_schema=False)

    @routes.post(
        "/ack/{token}",
        summary="Acknowledge an escalation",
        response_class=Response,
        responses={200: {**_OK, "links": _LINKS}, **_ERRORS},
    )
    async def post_acknowledgement(request: Request, token: Token) -> Response:
        """Holds the next tier until max(scheduled, acknowledged + interval). The same link again counts once."""
        return await _respond(request, acknowledge_once, token)

    async def view(token: str) -> TicketLink:
        found = await load(token)
        metrics.ACKNOWLEDGEMENTS.labels("shown").inc()
        return found

    async def acknowledge_once(token: str) -> TicketLink:
        found = await load(token)
        if found.status.state != "pending":
            result = "again" if found.status.state == "acknowledged" else found.status.state
            metrics.ACKNOWLEDGEMENTS.labels(result).inc()
            return found
        async with writer.begin() as connection:
            found = await acknowledge(context, connection, found)
        wake()
        log.info("acknowledged", ticket_id=str(found.link.ticket_id), step=found.link.step, run=found.link.run)
        metrics.ACKNOWLEDGEMENTS.labels("taken").inc()
        return found

    async def load(token: str) -> TicketLink:
        signer.verify(token, _LONG_AGO)  # a forged token must not cost a database connection
        async with reader.connect() as connection:
            return await load_link(context, connection, signer, token)

    return routes


@dataclass(frozen=True, slots=True)
class _Result:
    """`found` is set if the link's ticket exists."""

    status: int
    page: Page
    found: TicketLink | None = None


async def _respond(request: Request, act: Callable[[str], Awaitable[TicketLink]], token: str) -> Response:
    try:
        found = await act(token)
    except InvalidLinkError:
        result = _failure("refused", 404, ack_pages.invalid_link_page())
    except ExpiredLinkError as error:
        result = _failure("expired", 410, ack_pages.expired_page(error.link))
    except TicketNotFoundError:
        result = _failure("unknown", 404, ack_pages.unknown_ticket_page())
    except Exception as error:  # the outer handlers of a request would log the path, and with it the token
        transient = is_transient(error)
        log.error("acknowledgement_failed", error=repr(error), exc_info=None if transient else error)
        result = _failure("failed", 503 if transient else 500, ack_pages.unavailable_page())
    else:
        status = 409 if found.status.state in ("closed", "superseded") else 200
        result = _Result(status, ack_pages.link_page(found), found)
    return _render(request, result)


def _failure(label: str, status: int, page: Page) -> _Result:
    metrics.ACKNOWLEDGEMENTS.labels(label).inc()
    return _Result(status, page)


def _render(request: Request, result: _Result) -> Response:
    headers = HEADERS | ({"Retry-After": "30"} if result.status == 503 else {})
    accept = request.headers.get("accept", "")
    if "json" not in accept or "text/html" in accept:
        return Response(ack_pages.render_page(result.page), result.status, headers, "text/html; charset=utf-8")
    if result.found is not None and result.status == 200:
        return JsonResponse(AcknowledgementResponse.of(result.found).model_dump(mode="json"), 200, headers)
    return _problem(result.status, result.page, headers).response()
