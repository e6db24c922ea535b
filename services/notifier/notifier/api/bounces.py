"""`/v1/bounces`: report a bounced mail, and read the reports that could not be matched."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.http.authentication import MayAdminister, MayWrite
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.http.problems import invalid_fields
from tocsin.runtime.http.responses import page_length
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile
from tocsin.validation import FieldError

from notifier.api.schemas import BounceResponse, UnmatchedReportListResponse, UnmatchedReportResponse
from notifier.domain.return_path import ReturnPath
from notifier.errors import DirectoryUnavailableError, UnmatchedReportNotFoundError
from notifier.handlers.bounces import apply_report
from notifier.store import unmatched_reports
from notifier.store.unmatched_reports import UnmatchedReason

PATH: Final = "/v1/bounces"
"""The path of the calls. The request body is a raw message, not JSON."""

_LARGEST_ID: Final = (1 << 63) - 1
_EMPTY: Final = invalid_fields([FieldError(field="body", message="is empty: send the raw message")])
_BODY: Final[dict[str, Any]] = {
    "schema": {"type": "string", "format": "binary"},
    "example": "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n...",
}
_DELIVERY: Final = "$response.body#/recipients/0/delivery_id"
_RAW: Final = "GET /v1/bounces/{report_id}"
_POST_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "links": {
            "delivery": link("GET /v1/deliveries/{delivery_id}", "Read the delivery", delivery_id=_DELIVERY),
            "redeliver": link(
                "POST /v1/deliveries/{delivery_id}/redeliver", "Send its mail again", delivery_id=_DELIVERY
            ),
        }
    },
    202: {
        "model": BounceResponse,
        "description": "Kept in the list of unmatched reports; no mail was changed",
        "links": {"raw": link(_RAW, "Read the message", report_id="$response.body#/unmatched/id")},
    },
    422: error_response("The body is empty", _EMPTY),
}
Reason = Annotated[UnmatchedReason | None, Query(description="Only reports with this reason")]
Limit = Annotated[int, Query(ge=1, le=500, description="The largest number of items per page"), DIGITS]
Cursor = Annotated[int, Query(ge=0, le=_LARGEST_ID, description="`next_cursor` of the previous page"), DIGITS]
ReportId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="The `id` of the report"), DIGITS]


def router(
    writer: AsyncEngine,
    clock: TimeSource,
    directory: DirectoryFile,
    return_path: ReturnPath | None,
    wake: Callable[[], None],
) -> APIRouter:
    """The route that applies reports. `wake` is called after a commit."""
    routes = APIRouter(prefix=PATH, tags=["bounces"])

    @routes.post(
        "",
        summary="Report a bounced mail",
        response_description="What the report changed, by recipient",
        responses=_POST_RESPONSES,
        openapi_extra={"requestBody": {"required": True, "content": {"message/rfc822": _BODY}}},
    )
    async def post_bounce(request: Request, response: Response, caller: MayWrite) -> BounceResponse:
        """A mail server's report (RFC 3464, or plain text) as a raw message of any content type.

        Repeating it is harmless. A message that cannot be matched to a mail of this tenant is kept, whatever it is.
        """
        raw = await request.body()
        if not raw.strip():
            raise _EMPTY
        known = directory.current()
        if known is None:
            raise DirectoryUnavailableError
        async with writer.begin() as connection:
            result = await apply_report(connection, clock, known, return_path, raw, caller.tenant)
        wake()
        response.status_code = 200 if result.recipients else 202
        return BounceResponse.model_validate(result)

    return routes


def unmatched_router(reader: AsyncEngine) -> APIRouter:
    """The routes that read the reports that could not be matched."""
    routes = APIRouter(prefix=PATH, tags=["bounces"])

    @routes.get(
        "",
        summary="List unmatched reports",
        response_description="A page of unmatched reports",
        responses={200: {"links": {"raw": link(_RAW, "Read the first one", report_id="$response.body#/items/0/id")}}},
    )
    async def list_unmatched_reports(
        caller: MayAdminister, reason: Reason = None, limit: Limit = 100, cursor: Cursor = _LARGEST_ID
    ) -> UnmatchedReportListResponse:
        """Lists the messages that were posted here and changed nothing, newest first: the last 1,000, for 30 days.

        Each says why, and which mail it seems to be about. Request further pages with `next_cursor` until it is null.
        """
        async with reader.connect() as connection:
            found = await unmatched_reports.load_page(
                connection, caller.tenant, before=cursor, reason=reason, limit=limit + 1
            )
        items = tuple(map(UnmatchedReportResponse.model_validate, found))
        length = page_length(items, limit)
        return UnmatchedReportListResponse(
            items=items[:length], next_cursor=str(items[length - 1].id) if len(items) > length else None
        )

    @routes.get(
        "/{report_id}",
        summary="Get an unmatched report",
        response_class=Response,
        response_description="The raw message, up to its first 64 KiB",
        responses={200: {"content": {"message/rfc822": _BODY}}},
    )
    async def get_unmatched_report(caller: MayAdminister, report_id: ReportId) -> Response:
        """The message as it was posted. Do not trust it: a stranger may have written it, and it may have live links."""
        async with reader.connect() as connection:
            raw = await unmatched_reports.load_raw(connection, caller.tenant, report_id)
        if raw is None:
            raise UnmatchedReportNotFoundError
        headers = {
            "Content-Disposition": f'attachment; filename="report-{report_id}.eml"',
            "X-Content-Type-Options": "nosniff",
        }
        return Response(raw, media_type="message/rfc822", headers=headers)

    return routes
