"""The timer's API on a real database."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sla_timer.api.schemas import (
    ComplianceResponse,
    CurrentClocksListResponse,
    TicketClocksResponse,
    TimelineResponse,
)
from sla_timer.commands.simulate import simulate_file
from sla_timer.domain.compliance import (
    ChannelCount,
    Grouping,
    OutcomeCount,
    ReportFilter,
    channel_averages,
    outcome_shares,
)
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.simulate import SimulationRequest, simulate
from sla_timer.domain.ticket_evaluation import summarize_clocks
from sla_timer.handlers import queries
from support.fake_timer import moment, numbered_fact, shipped_history
from support.random_stories import random_story
from support.servers import MakeDatabase
from support.stories import at, changed_policy, clock, fact, shipped_policy
from support.timer_world import CLOCK, TimerWorld, events, facts_of, fields_of, imported, ticket, timer_world
from tocsin.business_time import micros, to_datetime
from tocsin.instants import render_instant
from tocsin.runtime.http.responses import ResponseModel
from tocsin.runtime.kafka.client import PARTITIONS

OPENED = numbered_fact(1, "opened", "06-08 13:00", severity=1)
RESPONDED = numbered_fact(2, "responded", "06-08 13:10")
SR_1 = f"/v1/tickets/{ticket('SR-1', [OPENED]).ticket_id}/clocks"
ALL_TIME = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[TimerWorld]:
    async with timer_world(make_database("sla-timer"), tmp_path) as made:
        yield made


async def test_a_ticket_is_not_found_until_it_has_arrived(world: TimerWorld) -> None:
    problem = await world.get(SR_1, 404)
    assert problem["detail"] == "No ticket with this id has arrived yet."
    await world.receive(*events("SR-1", [OPENED]))
    assert (await world.get(SR_1))["ticket_id"] in SR_1
    await world.get(f"/v1/tickets/{uuid4()}/clocks", 404)
    await world.get("/v1/tickets/no-id/clocks", 422)


async def test_a_ticket_of_another_tenant_is_not_found(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED]))
    await world.get(SR_1, 404, tenant="other")


async def test_clocks_are_evaluated_to_the_watermark_or_to_the_receipt_of_the_last_fact(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    found = await world.get(SR_1)
    assert (found["told_to"], found["accepted_through"], found["facts"]) == (at("06-08 13:10"), None, 2)
    await world.set_watermark(moment("06-08 13:05"))
    assert (await world.get(SR_1))["told_to"] == at("06-08 13:10")
    await world.set_watermark(moment("06-08 15:00"))
    found = await world.get(SR_1)
    assert (found["told_to"], found["accepted_through"]) == (at("06-08 15:00"), at("06-08 15:00"))
    assert not found["unconfirmed"]


@pytest.mark.rule("4.22")
async def test_clocks_are_evaluated_to_now_while_intake_is_silent(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await world.set_watermark(moment("06-08 15:00"))
    world.service.source_probe.silent_partitions = frozenset(range(PARTITIONS))
    found = await world.get(SR_1)
    assert found["unconfirmed"]
    assert datetime.fromisoformat(found["told_to"]) > moment("06-08 15:00")


async def test_clocks_are_those_of_the_simulation_with_a_ledger_that_adds_up(world: TimerWorld) -> None:
    for seed in range(15):
        drawn, name = random_story(Random(seed)), f"SR-{seed}"
        facts = facts_of(drawn)
        await world.receive(*events(name, facts, **fields_of(drawn)))
        found = await world.get(f"/v1/tickets/{ticket(name, facts).ticket_id}/clocks")
        request = SimulationRequest.model_validate(
            drawn | {"until": render_instant(facts[-1].received_at)}, strict=False
        )
        expected = simulate(request, [shipped_policy()])
        live = [
            {key: value for key, value in one.items() if key not in ("historic", "voided")} for one in found["clocks"]
        ]
        assert live == expected["clocks"]
        assert {key: found[key] for key in expected if key != "clocks"} == {
            key: expected[key] for key in expected if key != "clocks"
        }
        for account, shown in zip(found["ledger"], found["clocks"], strict=True):
            assert account["counted_seconds"] == shown["net_seconds"]
            lengths = [interval["seconds"] for interval in account["intervals"]]
            assert sum(lengths) == pytest.approx(shown["gross_seconds"], abs=1e-5)


async def test_the_clocks_of_several_tickets_are_those_of_each_without_events_and_ledger(world: TimerWorld) -> None:
    ids = []
    for seed in range(15):
        drawn, name = random_story(Random(seed)), f"SR-{seed}"
        facts = facts_of(drawn)
        await world.receive(*events(name, facts, **fields_of(drawn)))
        ids.append(str(ticket(name, facts).ticket_id))
    await world.set_watermark(moment("06-30 12:00"))
    world.service.source_probe.silent_partitions = frozenset({0, 1})
    added = (
        *("target", "target_seconds", "measure", "remaining", "remaining_seconds", "remaining_truncated"),
        "missed_roles",
    )
    left = 0.0
    items = (await world.post("/v1/clocks", {"ticket_ids": ids}))["items"]
    for ticket_id, item in zip(ids, items, strict=True):
        single = await world.get(f"/v1/tickets/{ticket_id}/clocks")
        for one, account in zip(item["clocks"], single["ledger"], strict=True):
            left += one["remaining_seconds"]
            assert [one[name] for name in added[:3]] == [account[name] for name in added[:3]]
            for name in added:
                del one[name]
        expected = {name: value for name, value in single.items() if name not in ("events", "ledger")}
        assert [tier["number"] for tier in item.pop("tiers")] == [1, 2, 3, 4, 5, 6]
        if item["unconfirmed"]:  # a moment has passed between the two
            assert item["ticket_id"] == expected["ticket_id"]
        else:
            assert item == expected
    assert left > 0


async def test_the_clocks_of_several_tickets_state_who_is_informed_if_they_are_missed(world: TimerWorld) -> None:
    own = (
        "customers: {zeta: {ladder: {1: account_manager},"
        " mail: {response_missed_to: [assignee, tier 1], answer_missed_to: [it_operations_director]}}}"
    )
    await world.store_policy(changed_policy("customers: {}", own, version="2"))
    zeta = {"id": "zeta", "name": "Zeta"}
    assigned = numbered_fact(2, "assigned", "06-08 13:05", assignee={"name": "Maya", "email": "maya@msp.example"})
    await world.receive(*events("SR-1", [OPENED], channel="email", customer=zeta))
    await world.receive(*events("SR-2", [OPENED, assigned], channel="email", customer=zeta))
    await world.receive(*events("SR-3", [OPENED, RESPONDED]))
    ids = [str(ticket(name, [OPENED]).ticket_id) for name in ("SR-1", "SR-2", "SR-3")]
    unassigned, known, answered = (await world.post("/v1/clocks", {"ticket_ids": ids}))["items"]

    def roles(item: dict[str, Any]) -> dict[str, list[str]]:
        return {one["clock"]: one["missed_roles"] for one in item["clocks"]}

    answer = ["it_operations_director"]
    assert roles(unassigned) == {"response": ["account_manager"], "resolution": [], "answer": answer}
    assert roles(known) == {"response": ["assignee", "account_manager"], "resolution": [], "answer": answer}
    assert roles(answered) == {"response": [], "resolution": []}
    assert known["tiers"] == [{"number": 1, "role": "account_manager", "title": "Account Manager"}]
    assert answered["tiers"][0]["role"] == "service_desk_team_lead"


async def test_unknown_and_foreign_tickets_are_left_out_in_the_order_asked(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED]), *events("SR-2", [OPENED]))
    theirs = events("SR-3", [OPENED], tenant="other")
    await world.receive(*theirs)
    one, two = (str(ticket(name, [OPENED]).ticket_id) for name in ("SR-1", "SR-2"))
    three = str(theirs[0].ticket_id)

    async def found(*ids: str, tenant: str = "default") -> list[str]:
        answer = await world.post("/v1/clocks", {"ticket_ids": ids}, tenant=tenant)
        return [item["ticket_id"] for item in answer["items"]]

    assert await found(two, str(uuid4()), one, three, two) == [two, one]
    assert await found(one, two) == [one, two]
    assert await found(one, two, three, tenant="other") == [three]
    assert await found(str(uuid4())) == []


async def test_an_invalid_request_for_clocks_names_its_field(world: TimerWorld) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "ticket_ids"),
        ({"ticket_ids": []}, "ticket_ids"),
        ({"ticket_ids": [str(uuid4()) for _ in range(201)]}, "ticket_ids"),
        ({"ticket_ids": [str(uuid4()), "SR-1"]}, "ticket_ids[1]"),
        ({"ticket_ids": [str(uuid4())], "limit": 1}, "limit"),
    ]
    for body, field in wrong:
        problem = await world.post("/v1/clocks", body, 422)
        assert [error["field"] for error in problem["errors"]] == [field]


async def test_other_requests_are_served_while_many_tickets_are_evaluated(world: TimerWorld) -> None:
    names = [f"SR-{number}" for number in range(200)]
    await world.receive(*(event for name in names for event in events(name, [OPENED, RESPONDED])))
    ids = [ticket(name, [OPENED]).ticket_id for name in names]
    timelines = queries.ticket_timelines(world.context, tenant="default", ticket_ids=ids, silent_partitions=frozenset())
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    await anext(timelines)  # the tickets are loaded
    before = turns
    assert [found.record.ticket.ticket_id async for found in timelines] == ids[1:]
    other.cancel()
    assert turns - before >= len(ids) - 1


async def test_historic_and_voided_are_stated_per_clock(world: TimerWorld) -> None:
    opened = numbered_fact(1, "opened", "06-08 13:00", "06-08 14:30", severity=1)
    await world.receive(imported("SR-1", [opened], moment("06-08 14:30")))
    found = await world.get(SR_1)
    assert [(c["clock"], c["historic"]) for c in found["clocks"]] == [("response", True), ("resolution", False)]
    late = numbered_fact(2, "responded", "06-08 13:10", "06-08 14:40")
    await world.receive(events("SR-1", [OPENED, late])[-1])
    found = await world.get(SR_1)
    assert [(c["clock"], c["outcome"], c["voided"]) for c in found["clocks"]] == [
        ("response", "met", True),
        ("resolution", "running", False),
    ]


async def test_simulation_by_http_equals_simulation_by_command_line(
    world: TimerWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOCSIN_POLICY", raising=False)
    stories = [random_story(Random(seed)) for seed in range(20)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(json.dumps(drawn) for drawn in stories)))
    assert simulate_file("-", None) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [await world.post("/v1/simulate", drawn) for drawn in stories]


async def test_the_response_models_describe_the_responses(world: TimerWorld) -> None:
    drawn = random_story(Random(8))
    facts = facts_of(drawn)
    await world.receive(*events("SR-8", facts, **fields_of(drawn)))
    clocks = await world.get(f"/v1/tickets/{ticket('SR-8', facts).ticket_id}/clocks")
    assert rendered(TicketClocksResponse, clocks) == clocks
    timeline = await world.post("/v1/simulate", drawn)
    assert rendered(TimelineResponse, timeline) == timeline
    current = await world.post("/v1/clocks", {"ticket_ids": [clocks["ticket_id"]]})
    assert rendered(CurrentClocksListResponse, current) == current
    report = await world.get("/v1/compliance", query=ALL_TIME | {"group_by": "customer"})
    assert rendered(ComplianceResponse, report) == report


def rendered(model: type[ResponseModel], body: Mapping[str, Any]) -> Any:
    """The body after a round trip through its model."""
    return json.loads(model.model_validate(body).model_dump_json(by_alias=True, exclude_unset=True))


async def test_a_severity_with_a_zero_fraction_is_accepted(world: TimerWorld) -> None:
    request = {"facts": [fact("opened", "06-08 12:00", severity=3)], "until": at("06-08 13:00")}
    as_a_float = {**request, "facts": [fact("opened", "06-08 12:00", severity=3.0)]}
    assert await world.post("/v1/simulate", as_a_float) == await world.post("/v1/simulate", request)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": None}, "until"),
        ({"until": at("06-08 11:00")}, "before the opening"),
        ({"facts": []}, "facts"),
        ({"facts": [fact("opened", "06-08 12:00", severity=True)]}, "severity"),
        ({"facts": [fact("opened", "06-08 12:00", severity=5)]}, "severity"),
        ({"facts": [fact("opened", "06-08 12:00", severity=1), fact("vanished", "06-08 13:00")]}, "type"),
        ({"facts": [fact("opened", "06-08 12:00", severity=3)], "until": "2150-01-01T00:00:00Z"}, "years"),
    ],
)
async def test_an_invalid_simulation_is_a_422(world: TimerWorld, changes: dict[str, Any], message: str) -> None:
    body = {"facts": [fact("opened", "06-08 12:00", severity=1)], "until": at("06-08 13:00")} | changes
    assert message in json.dumps(await world.post("/v1/simulate", body, 422))


@pytest.mark.parametrize(
    "query",
    [
        {"to": ALL_TIME["to"]},
        {"from": "yesterday", "to": ALL_TIME["to"]},
        {"from": "2026-06-01T00:00:00", "to": ALL_TIME["to"]},
        {"from": ALL_TIME["to"], "to": ALL_TIME["from"]},
        ALL_TIME | {"group_by": "clock,weather"},
        ALL_TIME | {"group_by": "x" * 20_000},
    ],
)
async def test_an_invalid_report_is_a_422(world: TimerWorld, query: dict[str, str]) -> None:
    problem = await world.get("/v1/compliance", 422, query=query)
    assert problem["errors"]
    assert len(str(problem)) < 1000


@pytest.mark.rule("6.3")
async def test_compliance_equals_that_of_the_pure_functions(world: TimerWorld) -> None:
    zone = ZoneInfo("America/New_York")
    outcomes: list[OutcomeCount] = []
    tickets: list[ChannelCount] = []
    end = datetime(2027, 3, 1, tzinfo=UTC)
    for seed in range(60):
        random = Random(seed)
        facts, channel = facts_of(random_story(Random(seed))), random.choice(("portal", "email", "voicemail", "chat"))
        customer = random.choice(("acme", "zeta"))
        await world.receive(*events(f"SR-{seed}", facts, channel=channel, customer={"id": customer, "name": customer}))
        timeline = evaluate(FactLog.of(facts, shipped_history(), channel=channel), shipped_history(), micros(end))
        outcomes += [
            OutcomeCount(
                summary.clock,
                summary.severity,
                customer,
                summary.outcome_at.astimezone(zone).strftime("%Y-%m"),
                summary.state,
                1,
            )
            for summary in summarize_clocks(timeline)
            if summary.outcome_at is not None
        ]
        if channel in ("voicemail", "chat"):
            opened_at, now = facts[0].occurred_at, micros(CLOCK.now())
            waited_until = to_datetime(timeline.responded_at or timeline.closed_at or now)
            tickets.append(
                ChannelCount(
                    channel,
                    customer,
                    opened_at.astimezone(zone).strftime("%Y-%m"),
                    tickets=1,
                    unanswered=int(timeline.responded_at is None and timeline.closed_at is None),
                    waited=waited_until - opened_at,
                )
            )
    await world.advance(end)
    report = await world.get("/v1/compliance", query=ALL_TIME | {"group_by": ",".join(Grouping)})
    assert report["items"] == [
        {
            "clock": share.clock,
            "severity": share.severity,
            "customer": share.customer,
            "month": share.month,
            "met": share.met,
            "breached": share.breached,
            "cancelled": share.cancelled,
            "percent_met": share.percent_met,
        }
        for share in outcome_shares(outcomes, list(Grouping))
    ]
    assert sum(item["met"] + item["breached"] + item["cancelled"] for item in report["items"]) > 100
    averages = channel_averages(tickets, [shipped_policy()], ReportFilter(), zone=str(zone), now=CLOCK.now())
    for shown, average in zip(report["channels"], averages, strict=True):
        # A ticket without a response has grown a little older in between.
        assert shown["mean_seconds"] == pytest.approx(average.mean_seconds, abs=60)
        rest = ("channel", "customer", "month", "items", "unanswered", "target_seconds", "met")
        assert [shown[name] for name in rest] == [getattr(average, name) for name in rest]
    assert (await world.get("/v1/compliance", tenant="other", query=ALL_TIME))["items"] == []


@pytest.mark.rule("6.3")
async def test_a_period_is_half_open_and_contains_the_outcome(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED]))
    await world.advance(moment("06-08 14:00"))

    async def breached(begin: str, end: str) -> int:
        report = await world.get("/v1/compliance", query={"from": at(begin), "to": at(end)})
        return sum(item["breached"] for item in report["items"])

    assert await breached("06-08 14:00", "06-08 15:00") == 1
    assert await breached("06-08 13:00", "06-08 14:00") == 0
    assert await breached("06-08 13:00", "06-08 14:00:00.000001") == 1
    report = await world.get("/v1/compliance", query=ALL_TIME)
    assert report["items"] == [{"clock": "response", "met": 0, "breached": 1, "cancelled": 0, "percent_met": 0.0}]


@pytest.mark.rule("6.2")
async def test_a_chat_without_a_response_ages(world: TimerWorld) -> None:
    opened_at = CLOCK.now() - timedelta(minutes=10)
    chat = OPENED.model_copy(update={"occurred_at": opened_at, "received_at": opened_at})
    await world.receive(*events("SR-1", [chat], channel="chat"))
    report = await world.get("/v1/compliance", query=ALL_TIME)
    chats, voicemails = report["channels"]
    assert 600 <= chats["mean_seconds"] < 660
    assert chats["met"] is False
    assert (voicemails["items"], voicemails["met"]) == (0, None)


@pytest.mark.rule("6.22")
async def test_a_report_counts_only_what_every_filter_admits(world: TimerWorld) -> None:
    await add_report_tickets(world)

    async def numbers(**filters: str) -> tuple[int, dict[str, int]]:
        report = await world.get("/v1/compliance", query=ALL_TIME | filters)
        clocks = sum(item["met"] + item["breached"] + item["cancelled"] for item in report["items"])
        return clocks, {one["channel"]: one["items"] for one in report["channels"]}

    calls = {"chat": 0, "voicemail": 2}
    assert await numbers() == (6, calls)
    assert await numbers(customer="acme") == (5, {"chat": 0, "voicemail": 1})
    assert await numbers(customer="nobody") == (0, {"chat": 0, "voicemail": 0})
    assert await numbers(severity="2") == (2, {"chat": 0, "voicemail": 1})
    assert await numbers(clock="answer") == (1, calls)
    assert await numbers(channel="email") == (2, {})
    assert await numbers(channel="voicemail") == (2, {"voicemail": 2})
    assert await numbers(category="security") == (1, {"chat": 0, "voicemail": 0})
    assert await numbers(customer="acme", channel="voicemail", severity="2") == (0, {"voicemail": 0})
    assert await numbers(historic="true") == (1, {"chat": 0, "voicemail": 0})
    assert await numbers(historic="false") == (5, calls)


@pytest.mark.rule("6.22")
async def test_an_unknown_customer_has_no_numbers_rather_than_everybodys(world: TimerWorld) -> None:
    await add_report_tickets(world)
    report = await world.get("/v1/compliance", query=ALL_TIME | {"customer": "nobody", "group_by": "clock,customer"})
    assert report["items"] == []
    assert {one["mean_seconds"] for one in report["channels"]} == {None}
    assert {one["met"] for one in report["channels"]} == {None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("severity", "0"), ("severity", "5"), ("severity", "critical"), ("clock", "resolutions"), ("channel", "fax"),
        ("category", "incidents"), ("customer", ""), ("customer", "a\x00"), ("historic", "maybe"), ("custmer", "acme"),
    ],
)  # fmt: skip
async def test_an_unknown_value_of_a_filter_is_a_422_that_names_it(world: TimerWorld, name: str, value: str) -> None:
    problem = await world.get("/v1/compliance", 422, query=ALL_TIME | {name: value})
    assert [error["field"] for error in problem["errors"]] == [name]


@pytest.mark.rule("6.21")
async def test_a_customers_own_target_measures_that_customer_alone(world: TimerWorld) -> None:
    own = "customers: {zeta: {average_under: {voicemail: 5m}}}"
    await world.store_policy(changed_policy("customers: {}", own, version="2"))
    await add_report_tickets(world)
    everybody = (await world.get("/v1/compliance", query=ALL_TIME | {"channel": "voicemail"}))["channels"]
    shown = [(one["customer"], one["items"], one["target_seconds"], one["met"]) for one in everybody]
    assert shown == [(None, 1, 3600.0, True), ("zeta", 1, 300.0, False)]
    for customer, expected in (("zeta", [shown[1]]), ("acme", [shown[0]])):
        query = ALL_TIME | {"channel": "voicemail", "customer": customer}
        found = (await world.get("/v1/compliance", query=query))["channels"]
        assert [(one["customer"], one["items"], one["target_seconds"], one["met"]) for one in found] == expected


async def add_report_tickets(world: TimerWorld) -> None:
    """Tickets with 6 outcomes: 5 responses and an answer."""
    severity_2 = OPENED.model_copy(update={"severity": 2})
    zeta = {"id": "zeta", "name": "Zeta"}
    await world.receive(*events("SR-1", [OPENED, RESPONDED], channel="voicemail"))
    await world.receive(*events("SR-2", [severity_2, RESPONDED], channel="voicemail", customer=zeta))
    await world.receive(*events("SR-3", [OPENED, RESPONDED], channel="email"))
    await world.receive(*events("SR-4", [severity_2, RESPONDED], category="security"))
    received = {"received_at": RESPONDED.received_at}
    history = [OPENED.model_copy(update=received), RESPONDED]
    await world.receive(imported("SR-5", history, RESPONDED.received_at))


def test_the_time_to_simulate_many_cycles_grows_only_with_their_number() -> None:
    facts = [fact("opened", "06-08 12:00", severity=3)]
    begin = moment("06-08 12:00")
    for number in range(1, 6000):
        kind = "resolved" if number % 2 else "reopened"
        facts.append({"type": kind, "occurred_at": render_instant(begin + timedelta(minutes=number))})
    request = SimulationRequest.model_validate({"facts": facts, "until": at("06-20 12:00")}, strict=False)
    timeline = simulate(request, [shipped_policy()])
    assert clock(timeline, "resolution", cycle=3000)["outcome"] == "met"


@pytest.mark.rule("3.12", "6.3")
async def test_silence_that_a_resolve_ends_counts_as_breached_in_its_period(world: TimerWorld) -> None:
    opened = numbered_fact(1, "opened", "06-08 12:00", severity=1)
    resolved = numbered_fact(2, "resolved", "06-10 12:00")
    await world.receive(*events("SR-1", [opened]))
    await world.advance(moment("06-09 20:00"))
    await world.receive(events("SR-1", [opened, resolved])[-1])
    whole = await world.get("/v1/compliance", query=ALL_TIME | {"group_by": "severity"})
    assert [(one["clock"], one["met"], one["breached"], one["percent_met"]) for one in whole["items"]] == [
        ("resolution", 0, 1, 0.0),
        ("response", 0, 1, 0.0),
    ]
    before = await world.get("/v1/compliance", query={"from": at("06-08 00:00"), "to": at("06-10 12:00")})
    assert [one["clock"] for one in before["items"]] == ["response"]
    late = numbered_fact(3, "responded", "06-10 11:00", "06-11 12:00")
    await world.receive(events("SR-1", [opened, late])[-1])
    corrected = await world.get("/v1/compliance", query=ALL_TIME)
    assert [(one["clock"], one["met"], one["breached"]) for one in corrected["items"]] == [
        ("resolution", 1, 0),
        ("response", 0, 1),
    ]


@pytest.mark.rule("3.17", "3.18", "3.19")
async def test_categories_are_the_same_in_clocks_ledger_and_simulation(world: TimerWorld) -> None:
    starts_at = at("07-01 12:00")
    opened = numbered_fact(1, "opened", "06-08 13:00", severity=4)
    await world.receive(*events("SR-1", [opened], category="onboarding", starts_at=starts_at))
    await world.receive(*events("SR-2", [opened], category="project"))
    onboarding = await world.get(f"/v1/tickets/{ticket('SR-1', [opened]).ticket_id}/clocks")
    assert clock(onboarding, "resolution")["due_at"] == starts_at
    [account] = [one for one in onboarding["ledger"] if one["clock"] == "resolution"]
    assert account["words"].endswith(f"; the start of the work is later: due {starts_at}")
    project = await world.get(f"/v1/tickets/{ticket('SR-2', [opened]).ticket_id}/clocks")
    assert [one["clock"] for one in project["clocks"]] == [one["clock"] for one in project["ledger"]] == ["response"]
    for fields, live in (
        ({"category": "onboarding", "starts_at": starts_at}, onboarding),
        ({"category": "project"}, project),
    ):
        simulated = await world.post("/v1/simulate", opened_at_once(**fields))
        assert [one["due_at"] for one in simulated["clocks"]] == [one["due_at"] for one in live["clocks"]]
    await world.post("/v1/simulate", opened_at_once(category="party"), 422)
    await world.post("/v1/simulate", opened_at_once(starts_at="July"), 422)


def opened_at_once(**fields: str) -> dict[str, Any]:
    return {"facts": [fact("opened", "06-08 13:00", severity=4, **fields)], "until": at("06-08 13:00")}
