"""Reports of the board, with sla-timer and the escalator in this process on real databases."""

import base64
import csv
import hashlib
import html
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from board.domain.report_month import ReportMonth
from board.errors import UpstreamError
from board.handlers.reports import build_report
from board.sources import report_source
from support.report_log import import_history, read_generated_log
from support.report_sql import computed_by_sql, create_clock_times, find_differences, reported_numbers
from support.report_world import ReportWorld, report_world
from support.search_budget import tries
from support.servers import MakeDatabase
from support.timer_world import events
from tocsin.events import Fact, TicketChanged
from tocsin.events import ticket_id as id_of
from tocsin.instants import render_instant
from tocsin.runtime.process.clock import BusinessClock

NOW = datetime(2013, 9, 12, 15, tzinfo=UTC)


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[ReportWorld]:
    async with report_world(make_database, tmp_path, BusinessClock(NOW, NOW, 0)) as made:
        yield made


@pytest.mark.parametrize("seed", range(tries(1)))
async def test_the_numbers_of_random_logs_equal_a_second_computation(
    world: ReportWorld, tmp_path: Path, seed: int
) -> None:
    log = read_generated_log(tmp_path, seed=seed, tickets=150)
    await import_history(world, log.tickets, NOW)
    months = [ReportMonth(2013, number) for number in range(1, 7)]
    async with world.timer.writer.begin() as timer:
        await create_clock_times(timer)
        for month in months:
            report = await world.report(str(month))
            async with world.escalator.runtime.reader.connect() as escalator:
                expected = await computed_by_sql(timer, escalator, str(month), NOW)
            assert find_differences(reported_numbers(report.current), expected) == {}, month
            assert report.current.remarks.clocks > 0


async def add_month(world: ReportWorld) -> None:
    """Acme's May 2013: a late and a met response, a missed resolution that is still open, and an onboarding."""
    opened = [fact_at(1, "opened", "2013-05-06T14:00:00Z", severity=1)]
    await world.timer.receive(*events("SR-1", [*opened, fact_at(2, "responded", "2013-05-06T16:30:00Z")]))
    await world.timer.receive(
        *events(
            "SR-2",
            [*opened, fact_at(2, "responded", "2013-05-06T14:20:00Z"), fact_at(3, "resolved", "2013-05-06T18:00:00Z")],
        )
    )
    zeta = {"id": "zeta", "name": "<b>Zeta</b> & Sons"}
    await world.timer.receive(
        *events("SR-3", [*opened, fact_at(2, "cancelled", "2013-05-06T14:10:00Z")], customer=zeta, category="project")
    )
    await world.timer.advance(NOW)
    await world.escalate()


def fact_at(number: int, kind: str, at: str, **fields: Any) -> Fact:
    values = {"number": number, "event_id": str(number), "type": kind, "occurred_at": at, "received_at": at}
    return Fact.model_validate(
        values | {"resolution_kind": "resolved" if kind == "resolved" else None} | fields, strict=False
    )


async def test_a_report_is_html_csv_and_json_of_the_same_numbers(world: ReportWorld) -> None:
    await add_month(world)
    page = (await world.get("/reports/2013-05")).text
    body = (await world.get("/reports/2013-05.json")).json()
    table = await world.get("/reports/2013-05.csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="report-2013-05.csv"'
    lines = list(csv.DictReader(io.StringIO(table.text)))
    response, resolution, _ = body["current"]["totals"]
    assert (response["met"], response["breached"], response["cancelled"], response["percent_met"]) == (1, 1, 1, 50.0)
    assert (resolution["met"], resolution["breached"], resolution["cancelled"]) == (1, 1, 0)
    [percent] = [
        line["value"]
        for line in lines
        if (line["section"], line["clock"], line["severity"], line["measure"])
        == ("level", "response", "1", "percent_met")
    ]
    assert percent == "50.0"
    assert "50\N{NO-BREAK SPACE}%" in page
    assert [(miss["external_id"], miss["clock"], miss["late_seconds"]) for miss in body["misses"]] == [
        ("SR-1", "response", 5400.0),
        ("SR-1", "resolution", None),
    ]
    assert "The clock ended at Mon 6 May 2013 12:30 EDT, 1 h 30 min of counted time later." in page
    assert "The ticket was not resolved by Tue 7 May 2013 12:30 EDT. The clock still runs." in page
    assert body["current"]["escalated_tickets"] == 1
    assert body["current"]["tiers"][-1]["highest"] == 1
    assert body["current"]["remarks"]["excluded_categories"] == [{"category": "project", "tickets": 1}]
    assert (body["state"], body["zone"], body["first_month"]) == ("complete", "America/New_York", "2013-05")


async def test_a_report_agrees_with_compliance(world: ReportWorld, tmp_path: Path) -> None:
    await import_history(world, read_generated_log(tmp_path, seed=3, tickets=60).tickets, NOW)
    report = await world.report("2013-02", "customer 1")
    query = {"from": render_instant(report.begin), "to": render_instant(report.end), "customer": "customer 1"}
    compliance = await world.timer.get("/v1/compliance", query=query | {"group_by": "severity"})
    expected = {
        (one["clock"], one["severity"]): (one["met"], one["breached"], one["cancelled"], one["percent_met"])
        for one in compliance["items"]
        if one["clock"] != "answer"
    }
    shown = {
        (level.clock, level.severity): (level.met, level.breached, level.cancelled, level.percent_met)
        for level in report.current.levels
        if level.severity is not None and level.decided + level.cancelled
    }
    assert shown == expected != {}
    assert report.previous == (await world.report("2013-01", "customer 1")).current


async def test_the_page_loads_nothing_runs_nothing_and_its_policy_admits_its_style_alone(world: ReportWorld) -> None:
    await add_month(world)
    response = await world.get("/reports/2013-05", customer="zeta")
    [style] = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = response.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "&lt;b&gt;Zeta&lt;/b&gt; &amp; Sons" in response.text
    for forbidden in ("<script", "<link", "<img", " style=", " onclick", "<b>", "url(", "@import", "http:", "https:"):
        assert forbidden not in response.text, forbidden


async def test_the_links_of_a_page_lead_to_reports(world: ReportWorld) -> None:
    await add_month(world)
    page = (await world.get("/reports/2013-05", customer="zeta")).text
    links = [html.unescape(link) for link in re.findall(r'<a href="([^"]+)"', page)]
    assert links == [
        "/reports",
        *(f"/reports/{name}?customer=zeta" for name in ("2013-04", "2013-06", "2013-05.csv", "2013-05.json")),
    ]
    whole = (await world.get("/reports/2013-05")).text
    [ticket, again] = re.findall(r'<h3><a href="(/tickets/[^"]+)">SR-1</a>', whole)
    assert ticket == again == f"/tickets/{id_of('default', 'tests', 'SR-1')}"
    for link in links:
        assert (await world.client.get(link)).status_code == httpx.codes.OK, link


async def test_a_month_that_is_not_over_not_begun_or_before_all_data_says_so(world: ReportWorld) -> None:
    await add_month(world)
    for month, words in (
        ("2013-09", "No target was decided in this month so far."),
        ("2013-10", "October 2013 has not begun."),
        ("2013-04", "April 2013 has no data. The first data is of 2013-05."),
        ("2013-06", "No target was decided in this month."),
    ):
        page = (await world.get(f"/reports/{month}")).text
        assert words in page
        assert "At a glance" not in page
    assert "Month after" not in (await world.get("/reports/2013-09")).text


async def test_an_unknown_customer_and_a_wrong_month_are_problems(world: ReportWorld) -> None:
    await add_month(world)
    for suffix, headers in (("", {"Accept": "application/json"}), (".csv", {}), (".json", {})):
        missing = await world.client.get(f"/reports/2013-05{suffix}", params={"customer": "nobody"}, headers=headers)
        assert (missing.status_code, missing.json()["title"]) == (httpx.codes.NOT_FOUND, "Unknown customer")
        wrong = await world.client.get(f"/reports/2013-13{suffix}", headers=headers)
        assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert [error["field"] for error in wrong.json()["errors"]] == ["month"]
    page = await world.get("/reports/2013-05", httpx.codes.NOT_FOUND, customer="nobody")
    assert "Check the customer" in page.text


async def test_nobody_reads_a_report_without_a_key(world: ReportWorld) -> None:
    del world.client.headers["Authorization"]
    assert (await world.client.get("/reports/2013-05")).headers["location"] == "/login?next=/reports/2013-05"
    for path in ("/reports/2013-05.csv", "/reports/2013-05.json"):
        refused = await world.client.get(path)
        assert refused.status_code == httpx.codes.UNAUTHORIZED, path


async def test_a_tenant_sees_its_own_numbers_only(world: ReportWorld) -> None:
    await add_month(world)
    other = world.timer.clients["other"].headers["Authorization"]
    world.client.headers["Authorization"] = other
    body = (await world.get("/reports/2013-05.json")).json()
    assert (body["state"], body["current"]["remarks"]["clocks"], body["misses"]) == ("no_data", 0, [])
    await world.get("/reports/2013-05.json", httpx.codes.NOT_FOUND, customer="zeta")


async def test_the_list_of_reports_leads_to_the_chosen_one(world: ReportWorld) -> None:
    page = (await world.get("/reports")).text
    assert '<option value="2013-08" selected>August 2013</option>' in page
    chosen = await world.client.get("/reports", params={"month": "2013-05", "customer": " a&b "})
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/reports/2013-05?customer=a%26b")
    everyone = await world.client.get("/reports", params={"month": "2013-05", "customer": ""})
    assert everyone.headers["location"] == "/reports/2013-05"


async def test_a_month_of_several_pages_is_counted_whole(world: ReportWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_source, "_LIMIT", "10")
    tickets = 13  # two outcomes and one ladder each
    facts = [fact_at(1, "opened", "2013-05-06T14:00:00Z", severity=1), fact_at(2, "responded", "2013-05-06T14:10:00Z")]
    await world.timer.receive(*(event for number in range(tickets) for event in events(f"SR-{number}", facts)))
    await world.timer.advance(NOW)
    await world.escalate()
    report = await world.report("2013-05")
    assert (report.current.total("response").met, len(report.misses)) == (tickets, tickets)
    assert report.current.escalated_tickets == report.current.tiers[-1].highest == tickets


async def test_a_late_fact_moves_a_miss_out_of_the_report_and_is_said(world: ReportWorld) -> None:
    await add_month(world)
    late = fact_at(3, "resolved", "2013-05-07T10:00:00Z").model_copy(update={"received_at": NOW})
    before = fact_at(2, "responded", "2013-05-06T14:30:00Z").model_copy(update={"received_at": NOW, "number": 4})
    opened, _ = events("SR-1", [fact_at(1, "opened", "2013-05-06T14:00:00Z", severity=1), before])
    for fact in (late, before):
        await world.timer.receive(TicketChanged(tenant="default", ticket_id=opened.ticket_id, fact=fact))
    report = await world.report("2013-05")
    assert report.misses == ()
    assert report.current.total("response").met == 2
    assert (report.current.remarks.voided, report.current.remarks.voided_breaches) == (2, 2)


async def test_an_unreachable_service_is_reported_as_such(world: ReportWorld) -> None:
    async def fail(*_: object) -> dict[str, Any]:
        raise UpstreamError("sla-timer does not respond")

    with pytest.raises(UpstreamError):
        await build_report(fail, NOW, tenant="default", month=ReportMonth.parse("2013-05"))

    async def respond_otherwise(*_: object) -> dict[str, Any]:
        return {"items": []}

    with pytest.raises(UpstreamError, match="not as expected: policy_version"):
        await build_report(respond_otherwise, NOW, tenant="default", month=ReportMonth.parse("2013-05"))
