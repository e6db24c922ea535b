"""The pages of reports, and the same numbers as CSV and JSON."""

from asyncio import to_thread
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import structlog
from fastapi import APIRouter, Path, Query
from starlette.responses import Response
from tocsin.characters import Id
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import TimeSource

from board.api.access import CurrentViewer
from board.api.html import html_response, render
from board.api.page_route import page_router
from board.domain.report import Report, report_json
from board.domain.report_csv import render_csv
from board.domain.report_month import PATTERN, ReportMonth
from board.domain.viewer import Viewer
from board.errors import TooManyReportsError, UnknownCustomerError, UpstreamError, UpstreamKeyError
from board.handlers.report_page import ReportLinks, render_report
from board.handlers.reports import ReportSlots, build_report
from board.sources.report_source import GetJson

log = structlog.get_logger(__name__)
_POLICY: Final = "default-src 'none'; style-src {}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
_MONTHS_OFFERED: Final = 24

Month = Annotated[str, Path(pattern=PATTERN, description="The month, such as 2026-05")]
CustomerId = Annotated[
    Id | None, Query(min_length=1, max_length=10_000, description="Only this customer, by its id; default: all")
]


def router(get: GetJson, clock: TimeSource, zone: ZoneInfo, slots: ReportSlots) -> APIRouter:
    """The routes. `get` calls the other services. `zone` only decides which month the list begins with: reports have
    the policy's zone.
    """
    routes = page_router()

    async def load(viewer: Viewer, month: str, customer: str | None) -> Report:
        try:
            return await build_report(
                get, clock.now(), tenant=viewer.tenant, month=ReportMonth.parse(month), customer=customer
            )
        except UnknownCustomerError as error:
            detail = "There are no numbers of this customer in any month. Check the customer's id."
            raise Problem(404, detail, title="Unknown customer") from error
        except UpstreamKeyError as error:
            log.warning("report_failed", month=month, error=str(error))
            raise Problem(503, f"{error}.") from error
        except UpstreamError as error:
            log.warning("report_failed", month=month, error=str(error))
            detail = "sla-timer or the escalator does not respond. Retry."
            raise Problem(503, detail, headers={"Retry-After": "5"}) from error

    async def respond(
        viewer: Viewer, month: str, customer: str | None, write: Callable[[Report], Response]
    ) -> Response:
        try:
            async with slots.hold():
                # In a thread: hundreds of missed targets take half a second, and other people watch the board.
                return await to_thread(write, await load(viewer, month, customer))
        except TooManyReportsError:
            log.warning("report_refused", month=month, reason="too many at the same time")
            detail = "Other reports are being built. Retry in a few seconds."
            raise Problem(503, detail, title="Busy", headers={"Retry-After": "5"}) from None

    @routes.get("/reports")
    async def list_reports(
        viewer: CurrentViewer, month: Annotated[str | None, Query(pattern=PATTERN)] = None, customer: str = ""
    ) -> Response:
        if month is not None:
            return html_response("", 303, {"Location": _address(month, "", customer.strip() or None)})
        months = _months_before(clock.now(), zone)
        return html_response(render("reports.html.j2", viewer=viewer, section="reports", months=months))

    @routes.get("/reports/{month}.csv")
    async def get_report_csv(viewer: CurrentViewer, month: Month, customer: CustomerId = None) -> Response:
        return await respond(viewer, month, customer, _csv)

    @routes.get("/reports/{month}.json")
    async def get_report_json(viewer: CurrentViewer, month: Month, customer: CustomerId = None) -> Response:
        return await respond(viewer, month, customer, _json)

    @routes.get("/reports/{month}")
    async def get_report(viewer: CurrentViewer, month: Month, customer: CustomerId = None) -> Response:
        links = _links(month, customer, clock.now(), zone)
        return await respond(viewer, month, customer, lambda report: _page(report, links))

    return routes


_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _csv(report: Report) -> Response:
    return _download(render_csv(report).encode(), "text/csv; charset=utf-8", report, "csv")


def _json(report: Report) -> Response:
    return Response(report_json(report), headers=_HEADERS, media_type="application/json")


def _page(report: Report, links: ReportLinks) -> Response:
    page = render_report(report, links)
    return html_response(page.text, headers={"Content-Security-Policy": _POLICY.format(page.style_source)})


def _download(content: bytes, media_type: str, report: Report, suffix: str) -> Response:
    # The customer's id may contain anything: only the month is in the file name.
    disposition = f'attachment; filename="report-{report.month}.{suffix}"'
    return Response(content, headers={**_HEADERS, "Content-Disposition": disposition}, media_type=media_type)


def _links(month: str, customer: str | None, now: datetime, zone: ZoneInfo) -> ReportLinks:
    shown = ReportMonth.parse(month)
    return ReportLinks(
        reports="/reports",
        previous_month=_address(str(shown.before), "", customer),
        next_month=_address(str(shown.after), "", customer) if shown < ReportMonth.of(now, zone) else None,
        csv=_address(month, ".csv", customer),
        json=_address(month, ".json", customer),
    )


def _address(month: str, suffix: str, customer: str | None) -> str:
    query = "" if customer is None else f"?{urlencode({'customer': customer}, quote_via=quote)}"
    return f"/reports/{month}{suffix}{query}"


def _months_before(now: datetime, zone: ZoneInfo) -> list[ReportMonth]:
    """The present month and those before it, the latest first."""
    months = [ReportMonth.of(now, zone)]
    while len(months) < _MONTHS_OFFERED:
        months.append(months[-1].before)
    return months
