"""The months, words, lines and summaries of reports."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from board.domain.report import Report, ReportState, remark_sentences, report_json
from board.domain.report_csv import COLUMNS, render_csv
from board.domain.report_misses import LEDGER_LINES, misses_of
from board.domain.report_month import ReportMonth
from board.domain.report_summary import render_summary, report_subject
from board.domain.report_words import count_words, duration_words, instant_words, percent_words
from board.domain.slo_page import CLOCKS, SEVERITIES, average_promise, promise
from board.handlers.report_page import MOST_MISSES, render_report_page
from support.report_clocks import BEGIN, END, ZONE, report_of, reported_clock
from tocsin.instants import render_instant

PAGE = Path(__file__).parents[2] / "docs/slo-page.md"
TARGETS = {
    ("response", 1): "1 hour", ("response", 2): "2 hours", ("response", 3): "1 business day",
    ("response", 4): "1 business day", ("resolution", 1): "24 hours", ("resolution", 2): "36 hours",
    ("resolution", 3): "5 business days", ("resolution", 4): "7 business days",
}  # fmt: skip


def test_a_month_begins_and_ends_at_local_midnight_also_when_clocks_change() -> None:
    march, november = ReportMonth.parse("2026-03"), ReportMonth.parse("2026-11")
    assert march.begin(ZONE) == datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert march.after.begin(ZONE) == datetime(2026, 4, 1, 4, tzinfo=UTC)
    assert november.after.begin(ZONE) - november.begin(ZONE) == timedelta(days=30, hours=1)
    assert ReportMonth.of(datetime(2026, 4, 1, 3, 59, tzinfo=UTC), ZONE) == march
    assert ReportMonth.parse("2026-05").begin(ZoneInfo("Asia/Kathmandu")) == datetime(2026, 4, 30, 18, 15, tzinfo=UTC)


def test_months_follow_each_other_over_the_year() -> None:
    january = ReportMonth.parse("2026-01")
    assert [str(january.before), str(january), str(january.after)] == ["2025-12", "2026-01", "2026-02"]
    assert january.before.after == january
    assert january.words == "January 2026"


@pytest.mark.parametrize(
    "text", ["2026", "2026-13", "2026-00", "1989-12", "2100-01", "2026-1", "2026-01-01", "٢٠٢٦-٠١"]
)
def test_anything_else_is_not_a_month(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2026-05"):
        ReportMonth.parse(text)


def test_promises_are_the_words_of_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = {row.split("|")[1].strip(" *"): row.split("|")[2:6] for row in page.splitlines() if row.startswith("|")}
    assert [cell.strip() for cell in table[""]] == list(SEVERITIES.values())
    for clock in ("response", "resolution"):
        words = [promise(clock, severity, TARGETS[clock, severity]) for severity in SEVERITIES]
        assert [cell.strip() for cell in table[CLOCKS[clock]]] == words
    assert f"## {CLOCKS['answer']}" in page
    averages = average_promise("voicemail", 3600), average_promise("chat", 300)
    for sentence in (promise("answer", 1, "24 hours"), *averages):
        assert f"- {sentence}\n" in page


def test_another_target_is_stated_in_words_of_the_same_form() -> None:
    assert promise("response", 1, "30 minutes") == "30 minutes or less"
    assert promise("resolution", 1, "4 hours") == "4 hours or less from first response"
    assert promise("answer", 2, "4 hours") == "Email: Within 4 hours"
    assert average_promise("chat", 90) == "Chat: Under 90 Seconds on Average"


@pytest.mark.parametrize(
    ("percent", "words"),
    [
        (None, "no data"),
        (100.0, "100 %"),
        (99.999, "99.9 %"),
        (0.0, "0 %"),
        (0.04, "0 %"),
        (97.949, "97.9 %"),
        (8.2, "8.2 %"),
    ],
)
def test_percentages_are_rounded_down(percent: float | None, words: str) -> None:
    assert percent_words(percent) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "no data"), (0, "0 s"), (0.25, "0.25 s"), (45, "45 s"), (60, "1 min"), (3599.9, "59 min"), (3600, "1 h"),
        (7500, "2 h 5 min"), (51 * 3600 + 59, "51 h"), (3_700_000, "1,027 h"),
    ],
)  # fmt: skip
def test_durations_are_hours_never_days(seconds: float | None, words: str) -> None:
    assert duration_words(seconds) == words


def test_instants_and_counts_in_words() -> None:
    assert instant_words(datetime(2026, 6, 5, 20, tzinfo=UTC), ZONE) == "Fri 5 Jun 2026 16:00 EDT"
    assert instant_words(datetime(2026, 11, 1, 6, 30, 7, tzinfo=UTC), ZONE) == "Sun 1 Nov 2026 01:30:07 EST"
    assert (count_words(1, "ticket"), count_words(1200, "ticket")) == ("1 ticket", "1,200 tickets")


MISSED = BEGIN + timedelta(days=4, hours=12)
"""Tuesday 5 May 2026, 12:00 in New York."""


def reason_of(**fields: Any) -> str:
    values = {"outcome": "breached", "outcome_at": MISSED, "due_at": render_instant(MISSED)} | fields
    for name in ("paused_seconds", "outside_hours_seconds", "closed_seconds"):
        values.setdefault(name, 0.0)
    [miss] = misses_of([reported_clock(**values)], ZONE)
    return miss.reason


def test_each_reason_states_the_deadline_the_end_and_what_did_not_count() -> None:
    ended = render_instant(MISSED + timedelta(hours=3))
    assert reason_of(ended_at=None) == ("Nobody had responded by Tue 5 May 2026 12:00 EDT. The clock still runs.")
    assert reason_of(ended_at=ended, net=3600.0 + 5400) == (
        "Nobody had responded by Tue 5 May 2026 12:00 EDT."
        " The clock ended at Tue 5 May 2026 15:00 EDT, 1 h 30 min of counted time later."
    )
    assert reason_of(clock="resolution", ended_at=ended, net=90000.0, paused_seconds=7200.0, closed_seconds=60.0) == (
        "The ticket was not resolved by Tue 5 May 2026 12:00 EDT."
        " The clock ended at Tue 5 May 2026 15:00 EDT, 1 h of counted time later."
        " Not counted: 2 h of waiting for the customer, 1 min while the ticket was closed."
    )
    assert reason_of(clock="answer", ended_at=None).startswith("Nobody had answered the e-mail by")
    assert reason_of(ended_at=None, historic=True, unconfirmed=True).endswith(
        "Imported as history. Not confirmed yet: intake was silent."
    )


def test_silence_a_change_and_the_start_of_the_work_have_their_own_reasons() -> None:
    silent = reason_of(clock="resolution", silent=True, net=0.0)
    assert silent.startswith("Nobody had responded when the ticket was resolved at Tue 5 May 2026 12:00 EDT")
    before, after = (render_instant(MISSED + timedelta(hours=hours)) for hours in (-2, 2))
    assert reason_of(due_at=before, ended_at=None).startswith(
        "A change at Tue 5 May 2026 12:00 EDT put the deadline at Tue 5 May 2026 10:00 EDT, which had passed"
    )
    assert reason_of(due_at=after, ended_at=None).startswith(
        "Nobody had responded by Tue 5 May 2026 12:00 EDT."
        " A later change moved the deadline to Tue 5 May 2026 14:00 EDT"
    )
    assert reason_of(clock="resolution", by_start=True, ended_at=None).startswith(
        "The ticket was not resolved by the start of the work, Tue 5 May 2026 12:00 EDT."
    )
    assert reason_of(due_at=None, ended_at=None).startswith("Nobody had responded by Tue 5 May 2026 12:00 EDT.")


def test_a_ledger_has_a_line_for_each_pause_and_for_what_lies_between() -> None:
    def interval(begin: int, end: int, reason: str) -> dict[str, Any]:
        first, last = (render_instant(BEGIN + timedelta(hours=hours)) for hours in (begin, end))
        seconds = (end - begin) * 3600.0
        return {"from": first, "to": last, "counted": reason == "counted", "seconds": seconds, "reason": reason}

    closing = "outside business hours"
    intervals = [
        interval(0, 2, "counted"), interval(2, 17, closing), interval(17, 18, "counted"), interval(18, 20, "paused"),
        interval(20, 21, "closed"), interval(21, 22, closing),
    ]  # fmt: skip
    account = {"words": "3 hours from", "intervals": intervals, "truncated": False}
    [miss] = misses_of([reported_clock(outcome="breached", ledger=account)], ZONE)
    assert [(line.seconds / 3600, line.words) for line in miss.ledger] == [
        (3, "counted; 15 h outside business hours not counted"),
        (2, "not counted: waiting for the customer"),
        (1, "not counted: the ticket was closed"),
        (1, "not counted: outside business hours"),
    ]
    assert (miss.ledger[0].begin, miss.ledger[-1].end) == (BEGIN, BEGIN + timedelta(hours=22))
    pauses = [interval(hour, hour + 1, ("counted", "paused")[hour % 2]) for hour in range(40)]
    [long] = misses_of([reported_clock(outcome="breached", ledger=account | {"intervals": pauses})], ZONE)
    assert (len(long.ledger), long.ledger_lines) == (LEDGER_LINES, 40)


def test_the_csv_has_a_fixed_header_and_a_line_for_each_number() -> None:
    report = report_of([reported_clock(), reported_clock(outcome="breached", net=4000.0)])
    lines = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert render_csv(report).splitlines()[0] == (
        "month,customer,section,clock,severity,item,measure,value,previous,ticket,words"
    )
    found = {(line["section"], line["clock"], line["severity"], line["measure"]): line for line in lines}
    level = found["level", "response", "1", "percent_met"]
    assert (level["month"], level["value"], level["previous"]) == ("2026-05", "50.0", "")
    assert found["miss", "response", "1", "late_seconds"]["ticket"] == "tests/SR-1"
    sections = {line["section"] for line in lines}
    assert sections == {"level", "distribution", "ladder", "time", "openings", "breaches", "remark", "miss"}
    keys = [tuple(line[name] for name in COLUMNS[2:7]) for line in lines if line["section"] != "miss"]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\uff1d1", '=HYPERLINK("x","y")'])
def test_a_text_that_a_spreadsheet_would_run_is_written_with_an_apostrophe(text: str) -> None:
    clock = reported_clock(outcome="breached", summary=text, source="=s", customer={"id": text, "name": text})
    report = report_of([clock], customer=text)
    lines = list(csv.DictReader(io.StringIO(render_csv(report))))
    [miss] = [line for line in lines if line["section"] == "miss"]
    assert (miss["item"], miss["customer"], miss["ticket"]) == (f"'{text}", f"'{text}", "'=s/SR-1")
    assert {line["customer"] for line in lines} == {f"'{text}"}


def test_json_has_instants_as_every_response_and_seconds() -> None:
    body = json.loads(report_json(report_of([reported_clock(outcome="breached", net=4000.0)])))
    assert body["begin"] == "2026-05-01T04:00:00.000000Z"
    assert body["current"]["levels"][0]["median_seconds"] == 4000.0
    assert body["misses"][0]["missed_at"] == "2026-05-02T04:00:00.000000Z"
    assert body["state"] == "complete"


def test_the_summary_has_one_statement_a_line() -> None:
    report = report_of(
        [reported_clock()] * 9 + [reported_clock(outcome="breached")], customer_name="Acme", customer="a"
    )
    assert report_subject(report) == "Service levels of Acme, May 2026"
    assert render_summary(report) == (
        "Service levels of Acme, May 2026 (months in America/New_York)\n"
        "\n"
        "Initial Response Time: 90 % met (9 of 10); April 2026: no data\n"
        "Resolution Target Time: no data; April 2026: no data\n"
        "Email answers: no data; April 2026: no data\n"
        "Missed targets: 1\n"
        "Escalated: 0 tickets\n"
    )


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (report_of([], state=ReportState.NOT_BEGUN), "May 2026 has not begun."),
        (report_of([], state=ReportState.NO_DATA, first_month="2026-07"), "The first data is of 2026-07."),
        (report_of([], state=ReportState.NO_DATA, first_month=None), "There is no data yet."),
        (report_of([]), "No target was decided in this month."),
        (report_of([], state=ReportState.SO_FAR), "No target was decided in this month so far."),
        (
            report_of([reported_clock()], state=ReportState.SO_FAR),
            "The month is not over: the numbers are those so far.",
        ),
    ],
)
def test_what_a_month_lacks_is_said_on_the_page_and_in_the_summary(report: Report, words: str) -> None:
    assert words in report.state_words
    assert report.state_words in render_report_page(report)
    assert report.state_words in render_summary(report)


def test_a_month_is_final_once_the_watermark_has_passed_its_end() -> None:
    report = report_of([])
    assert report.is_final
    assert not replace(report, complete_through=END - timedelta(seconds=1)).is_final
    assert not replace(report, complete_through=None).is_final


def test_the_remarks_say_every_number_even_a_zero() -> None:
    clocks = [
        reported_clock(category="project", historic=True, voided=["breached"]),
        reported_clock(outcome="cancelled"),
    ]
    sentences = "\n".join(remark_sentences(report_of(clocks).current.remarks))
    for words in (
        "2 clocks had an outcome", "Cancelled: 1.", "history: 1.", "Voided: for 1 clock,", "(1 a breach)",
        "Unconfirmed: 0.", "still running: 0.", "silence: 0.", "offboarding): 0.", "1 ticket of category project.",
    ):  # fmt: skip
        assert words in sentences


def test_a_page_lists_the_first_misses_and_says_where_all_are() -> None:
    report = report_of([reported_clock(outcome="breached")] * (MOST_MISSES + 10))
    page = render_report_page(report)
    assert page.count('<article class="miss') == MOST_MISSES
    assert "510 targets were missed, by severity and time. The first 500 are listed here; the CSV and JSON" in page
    assert render_csv(report).count(",miss,response,") == MOST_MISSES + 10


def test_no_text_of_a_ticket_becomes_markup() -> None:
    hostile = "<script>alert(1)</script>\"'&</style><img src=x onerror=1>"
    clock = reported_clock(outcome="breached", summary=hostile, external_id=hostile, source=hostile)
    page = render_report_page(report_of([clock], customer=hostile, customer_name=hostile))
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</style>") == page.count("<style>") == 1
    assert "&lt;script&gt;alert(1)" in page
