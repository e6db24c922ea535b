"""`POST /v1/bounces`: bounce reports of mail servers."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.http.authentication import MayWrite
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier.api.problems import problem_of
from notifier.api.schemas import BounceResponse
from notifier.errors import BounceReportError, DirectoryUnavailableError, NotifierError, UnknownMessageError
from notifier.handlers.bounces import apply_report

PATH: Final = "/v1/bounces"
"""The path of the call. Its request body is a raw message, not JSON."""

_UNKNOWN: Final = UnknownMessageError("<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>")
_UNREADABLE: Final = BounceReportError("Content-Type", "is text/plain, not multipart/report")
_BODY: Final[dict[str, Any]] = {
    "schema": {"type": "string", "format": "binary"},
    "example": "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n...",
}
_DELIVERY: Final = "$response.body#/recipients/0/delivery_id"


def router(writer: AsyncEngine, clock: TimeSource, directory: DirectoryFile, wake: Callable[[], None]) -> APIRouter:
    """The route. It calls `wake` after a commit."""
    routes = APIRouter(tags=["deliveries"])

    @routes.post(
        PATH,
        summary="Report a bounced mail",
        response_description="What the report changed, by recipient",
        responses={
            200: {
                "links": {
                    "delivery": link("GET /v1/deliveries/{delivery_id}", "Read the delivery", delivery_id=_DELIVERY),
                    "redeliver": link(
                        "POST /v1/deliveries/{delivery_id}/redeliver", "Send its mail again", delivery_id=_DELIVERY
                    ),
                }
            },
            404: error_response("No mail of this tenant has that Message-ID", problem_of(_UNKNOWN)),
            422: error_response("Not a bounce report; the error names the invalid field", problem_of(_UNREADABLE)),
        },
        openapi_extra={"requestBody": {"required": True, "content": {"message/rfc822": _BODY}}},
    )
    async def post_bounce(request: Request, caller: MayWrite) -> BounceResponse:
        """A delivery status notification (RFC 3464) as a raw message of any content type. Repeating it is harmless."""
        raw = await request.body()
        known = directory.current()
        if known is None:
            raise DirectoryUnavailableError
        async with writer.begin() as connection:
            result = await apply_report(connection, clock, known, raw, caller.tenant)
        if isinstance(result, NotifierError):
            raise result
        wake()
        return BounceResponse.model_validate(result)

    return routes
