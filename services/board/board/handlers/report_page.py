"""Renders a report as one self-contained HTML page: nothing is loaded, no script, and its style is inline."""

import base64
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from tocsin.business_time import load_zone

from board.domain.report import Report, remark_sentences
from board.domain.report_charts import distribution_columns, heat_steps, share_bar, time_bar
from board.domain.report_numbers import CLOCK_ORDER, ServiceLevel
from board.domain.report_summary import report_subject
from board.domain.report_words import count_words, duration_words, instant_words, percent_words
from board.domain.slo_page import CLOCKS, SEVERITIES
from board.domain.time_words import WEEKDAYS
from board.handlers.page_templates import page_environment

MOST_MISSES: Final = 500
"""The most missed targets on a page. CSV and JSON list all."""


@dataclass(frozen=True, slots=True)
class ReportLinks:
    """The addresses around a report that is shown on the board; `next_month` is null for the latest one."""

    reports: str
    previous_month: str
    next_month: str | None
    csv: str
    json: str


@dataclass(frozen=True, slots=True)
class RenderedReport:
    """The page, and the source of its style for a content security policy: `'sha256-...'`."""

    text: str
    style_source: str


def render_report_page(report: Report) -> str:
    """The page of a report, to mail or to save."""
    return render_report(report, None).text


def render_report(report: Report, links: ReportLinks | None) -> RenderedReport:
    """The page of a report; with links, as the board shows it."""
    title = report_subject(report)
    style = _style(title)
    zone = load_zone(report.zone)
    misses = sorted(report.misses, key=lambda miss: (miss.severity, miss.missed_at))
    text = _template().render(
        report=report,
        title=title,
        style=style,
        links=links,
        misses=misses[:MOST_MISSES],
        remarks=remark_sentences(report.current.remarks),
        instant=lambda at: instant_words(at, zone),
        change=_change,
        before=_levels_before(report),
    )
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return RenderedReport(str(text), f"'sha256-{digest}'")


def _change(now: ServiceLevel, before: ServiceLevel) -> str:
    """`+2.1 points`; empty where there is nothing to compare."""
    if now.percent_met is None or before.percent_met is None:
        return ""
    points = round(now.percent_met - before.percent_met, 1)
    return f"{points:+g} points" if points else "the same"


def _levels_before(report: Report) -> dict[tuple[str, int | None], ServiceLevel]:
    return {(level.clock, level.severity): level for level in report.previous.levels}


def _style(title: str) -> str:
    """The style sheet, with the title in the margin of printed pages."""
    escaped = "".join(f"\\{ord(character):06x} " for character in title)
    return f'{_style_sheet()}@page {{ @top-left {{ content: "{escaped}"; }} }}\n'


@cache
def _style_sheet() -> str:
    return files("board").joinpath("templates", "report.css").read_text("utf-8")


@cache
def _template() -> Any:
    return page_environment(**_NAMES).get_template("report.html.j2")


def _unbroken_percent(percent: float | None) -> str:
    """The percentage, in which no line breaks before the sign."""
    return percent_words(percent).replace(" %", "\N{NO-BREAK SPACE}%")


_NAMES: Final[dict[str, Any]] = {
    "percent": _unbroken_percent,
    "duration": duration_words,
    "count": count_words,
    "columns": distribution_columns,
    "time_bar": time_bar,
    "share_bar": share_bar,
    "heat_steps": heat_steps,
    "CLOCKS": CLOCKS,
    "CLOCK_ORDER": CLOCK_ORDER,
    "SEVERITIES": SEVERITIES,
    "WEEKDAYS": WEEKDAYS,
}
