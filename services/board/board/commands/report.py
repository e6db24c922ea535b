"""`python -m board report`: the report of a month as a file."""

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.settings import load

from board.domain.report import Report, report_json
from board.domain.report_csv import render_csv
from board.domain.report_month import ReportMonth
from board.errors import UnknownCustomerError, UpstreamError
from board.handlers.report_page import render_report_page
from board.handlers.reports import build_report
from board.settings import UpstreamSettings
from board.sources.upstream import Upstream


class ReportFormat(StrEnum):
    """The formats of a report."""

    HTML = "html"
    CSV = "csv"
    JSON = "json"


def _month(text: str) -> ReportMonth:
    try:
        return ReportMonth.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def write_report(
    month: Annotated[ReportMonth, typer.Option(parser=_month, metavar="YYYY-MM", help="The month.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="The file to write; `-` is standard output.")] = "-",
    customer: Annotated[str | None, typer.Option(help="Only this customer, by its id. Default: all.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant. Not needed if TOCSIN_UPSTREAM_KEYS has one.")] = None,
    file_format: Annotated[
        ReportFormat | None, typer.Option("--format", help="Default: by the suffix of the file; html without one.")
    ] = None,
) -> None:
    """Write the report of a month. Needs no Kafka and no database: only sla-timer and the escalator."""
    file_format = file_format or _format_of(out)
    settings = load(UpstreamSettings)
    if tenant is None and len(settings.upstream_keys) > 1:
        raise typer.BadParameter(f"is one of {', '.join(sorted(settings.upstream_keys))}", param_hint="--tenant")
    try:
        report = asyncio.run(_build(settings, tenant or next(iter(settings.upstream_keys), ""), month, customer))
    except UnknownCustomerError:
        _fail(f"There are no numbers of the customer {customer!r} in any month. Check the id.")
    except UpstreamError as error:
        _fail(f"{error}.")
    content = _content(report, file_format)
    if out == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        Path(out).write_bytes(content)
    except OSError as error:
        _fail(f"{out} cannot be written: {error.strerror}.")


async def _build(settings: UpstreamSettings, tenant: str, month: ReportMonth, customer: str | None) -> Report:
    upstream = Upstream(
        sla_timer_url=settings.sla_timer_url, escalator_url=settings.escalator_url, keys=settings.upstream_keys
    )
    try:
        now = clock_from(settings).now()
        return await build_report(upstream.get, now, tenant=tenant, month=month, customer=customer)
    finally:
        await upstream.close()


def _format_of(out: str) -> ReportFormat:
    """The format of the suffix; html without one. Raises BadParameter for another suffix."""
    suffix = Path(out).suffix
    try:
        return ReportFormat(suffix.removeprefix(".").lower()) if suffix else ReportFormat.HTML
    except ValueError:
        known = ", ".join(f".{each}" for each in ReportFormat)
        raise typer.BadParameter(
            f"{suffix} is not the suffix of a format; use one of {known}, or choose with --format", param_hint="--out"
        ) from None


def _content(report: Report, file_format: ReportFormat) -> bytes:
    match file_format:
        case ReportFormat.HTML:
            return render_report_page(report).encode()
        case ReportFormat.CSV:
            return render_csv(report).encode()
        case ReportFormat.JSON:
            return report_json(report) + b"\n"


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
