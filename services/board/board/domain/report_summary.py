"""A report in a few lines of plain text, for a mail. Pure."""

from board.domain.report import Report
from board.domain.report_numbers import CLOCK_ORDER, MonthNumbers
from board.domain.report_words import count_words, percent_words
from board.domain.slo_page import CLOCKS

_ANSWER = "Email answers"


def render_summary(report: Report) -> str:
    """The report in short lines, each ending with a line break: percent met with the month before, means, misses."""
    lines = [f"{report_subject(report)} (months in {report.zone})"]
    if report.state_words:
        lines.append(report.state_words)
    if not report.is_empty:
        lines += ["", *_levels(report.current, report.previous, report.previous_title)]
        lines += [
            f"{one.promise}{f' ({one.customer})' if one.customer else ''}: "
            + ("no data" if one.mean_seconds is None else "met" if one.met else "missed")
            for one in report.current.channels
        ]
        lines.append(f"Missed targets: {len(report.misses)}")
        lines.append(f"Escalated: {count_words(report.current.escalated_tickets, 'ticket')}")
    return "".join(f"{line}\n" for line in lines)


def report_subject(report: Report) -> str:
    """`Service levels of Acme Logistics, May 2026`; the title of the page as well."""
    return f"Service levels of {report.customer_name or 'all customers'}, {report.title}"


def _levels(current: MonthNumbers, previous: MonthNumbers, before: str) -> list[str]:
    lines = []
    for clock in CLOCK_ORDER:
        level = current.total(clock)
        name = _ANSWER if clock == "answer" else CLOCKS[clock]
        counts = f" met ({level.met} of {level.decided})" if level.decided else ""
        earlier = percent_words(previous.total(clock).percent_met)
        lines.append(f"{name}: {percent_words(level.percent_met)}{counts}; {before}: {earlier}")
    return lines
