"""`GET` and `POST /ack/{token}`: the page behind the link in an escalation's mail.

The token is the authority: no key, no cookie, so there is nothing that another site could misuse. Mail scanners follow
links, therefore only the POST changes anything. The token is a secret: no log names it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Path, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response
from tocsin.acknowledgement import ExpiredLinkError, InvalidLinkError, LinkSigner
from tocsin.events import Severity, Tier, UpcomingStep
from tocsin.instants import Instant
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake import metrics
from intake.api.ack_pages import (
    POLICY,
    About,
    Page,
    acknowledgement_page,
    expired_page,
    html,
    refused_page,
    unavailable_page,
    unknown_page,
)
from intake.api.schemas import Answer
from intake.handlers import Desk, Seen, acknowledge, look

log = structlog.get_logger(__name__)

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
LONGEST_TOKEN: Final = 2000
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

Token = Annotated[
    str, Path(description="As it stands in the link of the mail", examples=["eyJ0ZW5hbnQiOiJkZWZhdWx0Ig.x"])
]


class AcknowledgementAnswer(Answer):
    """What a link stands for, and how its ticket stands. `upcoming` is what was pending when the mail was written."""

    state: Literal["pending", "acknowledged", "closed", "superseded"]
    person: str
    name: str
    tier: Tier
    upcoming: UpcomingStep | None
    expires_at: Instant
    ticket_id: UUID
    external_id: str
    summary: str
    customer: str
    severity: Severity
    acknowledged_at: Instant | None
    held_until: Instant | None


EXAMPLE: Final = AcknowledgementAnswer(
    state="acknowledged",
    person="ruth.adeyemi",
    name="Ruth Adeyemi",
    tier=Tier(number=2, role="senior_it_operations_manager", title="Senior IT Operations Manager"),
    upcoming=UpcomingStep(
        at=datetime(2026, 6, 9, 15, tzinfo=UTC),
        tier=Tier(number=3, role="it_operations_director", title="IT Operations Director"),
    ),
    expires_at=datetime(2026, 6, 16, 14, tzinfo=UTC),
    ticket_id=UUID("5f3a1c70-7a55-5a3c-9d43-0c6f3c1f8f11"),
    external_id="SR-1042",
    summary="Mail is down",
    customer="Acme",
    severity=1,
    acknowledged_at=datetime(2026, 6, 9, 14, 10, tzinfo=UTC),
    held_until=datetime(2026, 6, 9, 15, 10, tzinfo=UTC),
)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told: as a page, or, to who asks for it, as JSON."""

    status: int
    page: Page
    seen: Seen | None = None


def router(
    desk: Desk, writer: AsyncEngine, reader: AsyncEngine, wake: Callable[[], None], links: LinkSigner
) -> APIRouter:
    """Both calls; `links` reads the tokens, `wake` tells the relay of this process that something was committed."""
    routes = APIRouter(tags=["acknowledgement"])

    async def seen(token: str) -> Seen:
        token = token[:LONGEST_TOKEN]
        links.verify(token, _LONG_AGO)  # anybody may make one up: it must not cost a connection
        async with reader.connect() as connection:
            return await look(desk, connection, links, token)

    async def shown(token: str) -> _Told:
        found = await seen(token)
        metrics.ACKNOWLEDGEMENTS.labels("shown").inc()
        return _told(found)

    async def acknowledged(token: str) -> _Told:
        found = await seen(token)
        if found.finding.state == "pending":
            async with writer.begin() as connection:
                found = await acknowledge(desk, connection, found)
            wake()
            log.info("acknowledged", ticket_id=str(found.link.ticket_id), step=found.link.step, run=found.link.run)
            metrics.ACKNOWLEDGEMENTS.labels("taken").inc()
        else:
            metrics.ACKNOWLEDGEMENTS.labels(_AGAIN.get(found.finding.state, found.finding.state)).inc()
        return _told(found)

    @routes.get("/ack/{token}", summary="See what a link in a mail would acknowledge", **_DESCRIBED)
    async def get_acknowledgement(request: Request, token: Token) -> Response:
        """A page with a button. It changes nothing, since mail scanners follow links."""
        return await _answered(request, shown, token)

    routes.add_api_route("/ack/{token}", get_acknowledgement, methods=["HEAD"], include_in_schema=False)

    @routes.post("/ack/{token}", summary="Acknowledge an escalation by the link in its mail", **_DESCRIBED)
    async def post_acknowledgement(request: Request, token: Token) -> Response:
        """Holds the next tier until max(scheduled, acknowledged + interval). The same link again counts once."""
        return await _answered(request, acknowledged, token)

    return routes


async def _answered(request: Request, act: Callable[[str], Awaitable[_Told]], token: str) -> Response:
    try:
        told = await act(token)
    except InvalidLinkError:
        told = _refusal("refused", 404, refused_page())
    except ExpiredLinkError as error:
        told = _refusal("expired", 410, expired_page(error.link))
    except Problem as problem:
        told = _refusal("unknown", problem.status, unknown_page())
    except Exception as error:  # the edge of a request, here because the outer one would log the path with the token
        transient = is_transient(error)
        log.error("acknowledgement_failed", error=repr(error), exc_info=None if transient else error)
        told = _refusal("failed", 503 if transient else 500, unavailable_page())
    return _response(request, told)


def _refusal(result: str, status: int, page: Page) -> _Told:
    metrics.ACKNOWLEDGEMENTS.labels(result).inc()
    return _Told(status, page)


def _told(seen: Seen) -> _Told:
    ticket = seen.ticket
    about = About(ticket.external_id, ticket.body["summary"], ticket.body["customer"]["name"])
    page = acknowledgement_page(seen.link, about, seen.finding, seen.rules, seen.held_until)
    return _Told(_STATUS.get(seen.finding.state, 200), page, seen)


def _response(request: Request, told: _Told) -> Response:
    headers = HEADERS | ({"Retry-After": "30"} if told.status == 503 else {})
    accept = request.headers.get("accept", "")
    if "json" not in accept or "text/html" in accept:
        return Response(html(told.page), told.status, headers, "text/html; charset=utf-8")
    if told.seen is not None and told.status == 200:
        return JsonResponse(_answer(told.seen), 200, headers)
    return Problem(told.status, " ".join(told.page.sentences), title=told.page.title, headers=headers).response()


def _answer(seen: Seen) -> dict[str, Any]:
    link, ticket, finding = seen.link, seen.ticket, seen.finding
    return AcknowledgementAnswer(
        state=finding.state,
        person=link.person,
        name=link.name,
        tier=link.tier,
        upcoming=link.upcoming,
        expires_at=link.expires_at,
        ticket_id=link.ticket_id,
        external_id=ticket.external_id,
        summary=ticket.body["summary"],
        customer=ticket.body["customer"]["name"],
        severity=finding.story.severity,
        acknowledged_at=finding.given.occurred_at if finding.given else None,
        held_until=seen.held_until,
    ).model_dump(mode="json")


_STATUS: Final = {"closed": 409, "superseded": 409}
_AGAIN: Final = {"acknowledged": "again"}


def _page(title: str) -> dict[str, Any]:
    return {"text/html": {"schema": {"type": "string"}, "example": f"<!doctype html><title>{title}</title>..."}}


def _refused(status: int, page: Page) -> dict[str, Any]:
    problem = error_response(page.title, Problem(status, " ".join(page.sentences), title=page.title))
    return problem | {"content": {**problem["content"], **_page(page.title)}}


_DESCRIBED: Final[dict[str, Any]] = {
    "response_class": Response,
    "responses": {
        200: {
            "model": AcknowledgementAnswer,
            "description": "What the link stands for: a page, or JSON where `Accept` asks for it",
            "content": {"application/json": {"example": EXAMPLE.model_dump(mode="json")}, **_page("Acknowledged")},
        },
        404: _refused(404, refused_page()),
        409: _refused(409, Page("Nothing to acknowledge", ("SR-1042 was resolved by ada.",))),
        410: _refused(410, Page("This link has expired", ("It counted until 2026-06-15 12:00 UTC.",))),
        503: _refused(503, unavailable_page()),
    },
}
