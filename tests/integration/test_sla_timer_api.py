"""The timer's calls, on a real database."""

import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sla_timer.commands.simulate import simulate_stories
from sla_timer.domain.compliance import GROUPS, Answer, Outcome, averages, shares
from sla_timer.domain.evaluate import clock_states
from sla_timer.domain.fact_log import Rulebook, Story
from sla_timer.domain.simulate import StoryRequest, simulate
from sla_timer.domain.timeline import Timeline
from support.fake_timer import moment, said
from support.random_stories import random_story
from support.servers import MakeDatabase
from support.stories import at, clock, fact, shipped_policy
from support.timer_world import CLOCK, Timer, events, facts_of, imported, ticket, timer
from tocsin.business_time import micros, render
from tocsin.instants import render_instant

OPENED = said(1, "opened", "06-08 13:00", severity=1)
ANSWERED = said(2, "responded", "06-08 13:10")
SR_1 = f"/v1/tickets/{ticket('SR-1', [OPENED]).ticket_id}/clocks"
FOREVER = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}


@pytest.fixture
async def one(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Timer]:
    async with timer(make_database("sla-timer"), tmp_path) as made:
        yield made


async def test_a_ticket_is_unknown_until_it_has_arrived(one: Timer) -> None:
    problem = await one.get(SR_1, 404)
    assert problem["detail"] == "No ticket with this id has arrived here yet."
    await one.receives(*events("SR-1", [OPENED]))
    assert (await one.get(SR_1))["ticket_id"] in SR_1
    await one.get(f"/v1/tickets/{uuid4()}/clocks", 404)
    await one.get("/v1/tickets/no-id/clocks", 422)


async def test_a_ticket_of_another_tenant_is_unknown(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED]))
    await one.get(SR_1, 404, key="other")


async def test_clocks_are_told_to_the_progress_or_to_the_receipt_of_the_last_fact(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED, ANSWERED]))
    told = await one.get(SR_1)
    assert (told["told_to"], told["accepted_through"], told["facts"]) == (at("06-08 13:10"), None, 2)
    await one.progresses(moment("06-08 13:05"))
    assert (await one.get(SR_1))["told_to"] == at("06-08 13:10")
    await one.progresses(moment("06-08 15:00"))
    told = await one.get(SR_1)
    assert (told["told_to"], told["accepted_through"], told["unconfirmed"]) == (
        at("06-08 15:00"),
        at("06-08 15:00"),
        False,
    )
    one.unconfirmed.update(range(6))
    told = await one.get(SR_1)
    assert told["unconfirmed"]
    assert datetime.fromisoformat(told["told_to"]) > moment("06-08 15:00")


async def test_clocks_are_what_simulate_says_with_a_ledger_that_adds_up(one: Timer) -> None:
    for seed in range(15):
        told, name = random_story(Random(seed)), f"SR-{seed}"
        facts = facts_of(told)
        await one.receives(*events(name, facts, channel=told["facts"][0].get("channel", "portal")))
        answer = await one.get(f"/v1/tickets/{ticket(name, facts).ticket_id}/clocks")
        request = StoryRequest.model_validate(told | {"until": render_instant(facts[-1].received_at)}, strict=False)
        expected = simulate(request, [shipped_policy()])
        live = [
            {key: value for key, value in one.items() if key not in ("historic", "voided")} for one in answer["clocks"]
        ]
        assert live == expected["clocks"]
        assert {key: answer[key] for key in expected if key != "clocks"} == {
            key: expected[key] for key in expected if key != "clocks"
        }
        for account, shown in zip(answer["ledger"], answer["clocks"], strict=True):
            assert account["counted_seconds"] == shown["net_seconds"]
            lengths = [interval["seconds"] for interval in account["intervals"]]
            assert sum(lengths) == pytest.approx(shown["gross_seconds"], abs=1e-5)


async def test_history_and_voided_are_told_per_clock(one: Timer) -> None:
    opened = said(1, "opened", "06-08 13:00", "06-08 14:30", severity=1)
    await one.receives(imported("SR-1", [opened], moment("06-08 14:30")))
    told = await one.get(SR_1)
    assert [(c["clock"], c["historic"]) for c in told["clocks"]] == [("response", True), ("resolution", False)]
    late = said(2, "responded", "06-08 13:10", "06-08 14:40")
    await one.receives(events("SR-1", [OPENED, late])[-1])
    told = await one.get(SR_1)
    assert [(c["clock"], c["outcome"], c["voided"]) for c in told["clocks"]] == [
        ("response", "met", True),
        ("resolution", "running", False),
    ]


async def test_simulate_by_http_is_simulate_by_command_line(
    one: Timer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOCSIN_POLICY", raising=False)
    stories = [random_story(Random(seed)) for seed in range(20)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(json.dumps(told) for told in stories)))
    assert simulate_stories("-", None) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [await one.post("/v1/simulate", told) for told in stories]


async def test_a_severity_without_a_fraction_is_whole(one: Timer) -> None:
    told = {"facts": [fact("opened", "06-08 12:00", severity=3)], "until": at("06-08 13:00")}
    as_a_float = {**told, "facts": [fact("opened", "06-08 12:00", severity=3.0)]}
    assert await one.post("/v1/simulate", as_a_float) == await one.post("/v1/simulate", told)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"until": None}, "until"),
        ({"until": at("06-08 11:00")}, "before its opening"),
        ({"facts": []}, "facts"),
        ({"facts": [fact("opened", "06-08 12:00", severity=True)]}, "severity"),
        ({"facts": [fact("opened", "06-08 12:00", severity=5)]}, "severity"),
        ({"facts": [fact("opened", "06-08 12:00", severity=1), fact("vanished", "06-08 13:00")]}, "type"),
        ({"facts": [fact("opened", "06-08 12:00", severity=3)], "until": "2150-01-01T00:00:00Z"}, "years"),
    ],
)
async def test_a_story_that_makes_no_sense_is_a_422(one: Timer, changes: dict[str, Any], said: str) -> None:
    body = {"facts": [fact("opened", "06-08 12:00", severity=1)], "until": at("06-08 13:00")} | changes
    assert said in json.dumps(await one.post("/v1/simulate", body, 422))


@pytest.mark.parametrize(
    "query",
    [
        {"to": FOREVER["to"]},
        {"from": "yesterday", "to": FOREVER["to"]},
        {"from": "2026-06-01T00:00:00", "to": FOREVER["to"]},
        {"from": FOREVER["to"], "to": FOREVER["from"]},
        FOREVER | {"group_by": "clock,weather"},
        FOREVER | {"group_by": "x" * 20_000},
    ],
)
async def test_a_report_that_cannot_be_made_is_a_422(one: Timer, query: dict[str, str]) -> None:
    problem = await one.get("/v1/compliance", 422, query=query)
    assert problem["errors"]
    assert len(str(problem)) < 1000


async def test_compliance_is_what_the_pure_function_says(one: Timer) -> None:
    rulebook, zone = Rulebook([shipped_policy()], None), ZoneInfo("America/New_York")
    outcomes: list[Outcome] = []
    answers: list[Answer] = []
    end = datetime(2027, 3, 1, tzinfo=UTC)
    for seed in range(60):
        told, random = random_story(Random(seed)), Random(seed)
        facts, channel = facts_of(told), random.choice(("portal", "email", "voicemail", "chat"))
        customer = random.choice(("acme", "zeta"))
        await one.receives(*events(f"SR-{seed}", facts, channel=channel, customer={"id": customer, "name": customer}))
        timeline = Timeline(Story.of(facts, channel), rulebook).tell(micros(end))
        outcomes += [
            Outcome(
                state.clock,
                state.severity,
                customer,
                state.outcome_at.astimezone(zone).strftime("%Y-%m"),
                state.state,
                1,
            )
            for state in clock_states(timeline)
            if state.outcome_at is not None
        ]
        if channel in ("voicemail", "chat"):
            closed_at, responded_at = timeline.closed_at, timeline.responded_at
            answers.append(
                Answer(
                    channel,
                    facts[0].occurred_at,
                    None if responded_at is None else datetime.fromisoformat(render(responded_at)),
                    None if closed_at is None else datetime.fromisoformat(render(closed_at)),
                )
            )
    await one.reaches(end)
    report = await one.get("/v1/compliance", query=FOREVER | {"group_by": ",".join(GROUPS)})
    assert report["items"] == shares(outcomes, GROUPS)
    assert sum(item["met"] + item["breached"] + item["cancelled"] for item in report["items"]) > 100
    expected = averages(answers, shipped_policy().rules(None).channels, str(zone), CLOCK.now())
    for shown, average in zip(report["channels"], expected, strict=True):
        # What is unanswered grew a little older in between.
        assert shown.pop("mean_seconds") == pytest.approx(average.pop("mean_seconds"), abs=60)
        assert shown == average
    assert (await one.get("/v1/compliance", key="other", query=FOREVER))["items"] == []


async def test_a_period_is_half_open_and_counts_by_the_outcome(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED]))
    await one.reaches(moment("06-08 14:00"))

    async def breached(begin: str, end: str) -> int:
        report = await one.get("/v1/compliance", query={"from": at(begin), "to": at(end)})
        return sum(item["breached"] for item in report["items"])

    assert await breached("06-08 14:00", "06-08 15:00") == 1
    assert await breached("06-08 13:00", "06-08 14:00") == 0
    assert await breached("06-08 13:00", "06-08 14:00:00.000001") == 1
    again = await one.get("/v1/compliance", query=FOREVER)
    assert again["items"] == [{"clock": "response", "met": 0, "breached": 1, "cancelled": 0, "percent_met": 0.0}]


async def test_an_unanswered_call_ages(one: Timer) -> None:
    opened = CLOCK.now() - timedelta(minutes=10)
    called = OPENED.model_copy(update={"occurred_at": opened, "received_at": opened})
    await one.receives(*events("SR-1", [called], channel="chat"))
    report = await one.get("/v1/compliance", query=FOREVER)
    chat, voicemail = report["channels"]
    assert 600 <= chat["mean_seconds"] < 660
    assert chat["met"] is False
    assert (voicemail["items"], voicemail["met"]) == (0, None)


def test_a_story_of_many_cycles_takes_time_by_its_length_alone() -> None:
    facts = [fact("opened", "06-08 12:00", severity=3)]
    begin = moment("06-08 12:00")
    for number in range(1, 6000):
        kind = "resolved" if number % 2 else "reopened"
        facts.append({"type": kind, "occurred_at": render_instant(begin + timedelta(minutes=number))})
    request = StoryRequest.model_validate({"facts": facts, "until": at("06-20 12:00")}, strict=False)
    told = simulate(request, [shipped_policy()])
    assert clock(told, "resolution", cycle=3000)["outcome"] == "met"
