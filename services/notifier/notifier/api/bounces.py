"""`POST /v1/bounces`."""

from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.directory import Directory
from tocsin.runtime.http.api_keys import TICKETS_WRITE, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse
from tocsin.runtime.process.clock import TimeSource
from tocsin.validation import FieldError

from notifier.api.schemas import Answer
from notifier.domain.bounces import Action, Report
from notifier.handlers.bounces import Result, Taken, take_report, understood

PATH: Final = "/v1/bounces"
"""Below it a body need not be JSON."""

MayWrite = Annotated[Caller, Depends(require(TICKETS_WRITE))]
_UNKNOWN: Final = Problem(404, "No mail bore the Message-ID <5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>.")
_NO_REPORT: Final = Problem(
    422,
    "This is no report of a mail server about a mail (RFC 3464).",
    errors=[FieldError(field="Content-Type", message="is text/plain, not multipart/report")],
)
_RAW: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


class ReportOfRecipient(Answer):
    """What became of the report about one recipient."""

    recipient: str = Field(description="The address, as the report writes it")
    action: Action
    result: Result = Field(
        description="`bounced`: it did not arrive, and the next address is tried. `noted`: in the journal alone. "
        "`unmatched`: noted, since it failed for an address that we did not mail, and several of ours bore that "
        "`message_id`. `known`: reported before. `nothing`: it arrived"
    )
    delivery_id: UUID


class ReportAnswer(Answer):
    """What became of a report, by recipient."""

    message_id: str
    recipients: tuple[ReportOfRecipient, ...]


def add(
    routes: APIRouter,
    writer: AsyncEngine,
    clock: TimeSource,
    directory: Callable[[], Directory | None],
    wake: Callable[[], None],
) -> None:
    """Add the call; `wake` is called when something was committed."""

    @routes.post(
        "/bounces",
        summary="Hand in what a mail server reports of a mail",
        responses={
            200: {"model": ReportAnswer},
            404: error_response("No mail of this tenant bore that Message-ID", _UNKNOWN),
            422: error_response("It is no such report; what it lacks is named", _NO_REPORT),
        },
        openapi_extra={"requestBody": {"required": True, "content": {"message/rfc822": _RAW}}},
    )
    async def post_bounce(request: Request, caller: MayWrite) -> JsonResponse:
        """The raw message (RFC 3464), whatever content type it is sent with. The same twice is once."""
        report = understood(await request.body())
        people = directory()
        if people is None:
            raise Problem(503, "There is no directory that can be used. Try again.", headers={"Retry-After": "30"})
        async with writer.begin() as connection:
            taken = await take_report(connection, clock, people, report, caller.tenant)
        wake()
        return JsonResponse(report_answer(report, taken))


def report_answer(report: Report, taken: list[Taken]) -> dict[str, Any]:
    """What became of it as JSON data, valid as `ReportAnswer`."""
    recipients = tuple(
        ReportOfRecipient(
            recipient=one.reported.addresses[0],
            action=one.reported.action,
            result=one.result,
            delivery_id=one.delivery.id,
        )
        for one in taken
    )
    return ReportAnswer(message_id=report.message_id, recipients=recipients).model_dump(mode="json")
