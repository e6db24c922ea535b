"""Every metric of the timer says what its API says, for tickets of every kind on a real database."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from math import isnan
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote

import pytest
from prometheus_client import REGISTRY
from sla_timer import metrics
from sla_timer.domain.clock_counts import AT_RISK_SECONDS, OpenClockState
from sla_timer.workers.gauges import ClockGauges
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.fake_timer import moment, numbered_fact
from support.metrics import counter_value
from support.random_stories import random_story
from support.servers import MakeDatabase
from support.stories import changed_policy
from support.timer_world import TimerWorld, events, facts_of, fields_of, imported, timer_world
from tocsin.events import Fact, TicketImported, ticket_id
from tocsin.instants import render_instant
from tocsin.runtime.kafka.client import PARTITIONS
from tocsin.runtime.process.clock import BusinessClock, FileClock

NOW: Final = moment("06-18 15:00")
FROZEN: Final = BusinessClock(NOW, NOW, 0.0)
CHANNELS: Final = ("portal", "email", "voicemail", "chat")
OUTCOMES: Final = ("met", "breached", "cancelled")
ALL_TIME: Final = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
OPENED: Final = numbered_fact(1, "opened", "06-18 13:00", severity=1)
RESPONDED: Final = numbered_fact(2, "responded", "06-18 13:10")
Labels = tuple[str, ...]


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[TimerWorld]:
    async with timer_world(make_database("sla-timer"), tmp_path, FROZEN) as made:
        yield made


async def test_gauges_count_the_open_clocks_that_the_api_shows(world: TimerWorld) -> None:
    """Random tickets that were paused, reopened, changed, silent, escalated ... and all that the API says of them."""
    names = [f"SR-{seed}" for seed in range(150)]
    for seed, name in enumerate(names):
        facts, fields = shifted_story(seed)
        await world.receive(*events(name, facts, channel=CHANNELS[seed % 4], **fields))
    await world.advance(NOW)
    await measure(world)
    states = await check_open_clocks(world, names)
    assert set(states) == set(OpenClockState), states
    assert gauge("sla_oldest_overdue_seconds") == 0


@pytest.mark.parametrize(
    ("facts", "state", "at_risk"),
    [
        ([("opened", "06-18 14:50", {"severity": 1})], "running", {}),
        ([("opened", "06-18 13:50", {"severity": 1})], "breached", {}),
        ([("opened", "06-17 13:50", {"severity": 1})], "silent", {}),
        ([("opened", "06-17 13:50", {"severity": 1}), ("paused", "06-18 14:55", {})], "silent", {}),
        ([("opened", "06-17 14:00", {"severity": 1}), ("escalated", "06-17 15:00", {})], "silent", {}),
        ([("opened", "06-17 15:05", {"severity": 1}), ("responded", "06-17 15:15", {})], "warned", {900, 3600, 14400}),
        ([("opened", "06-17 16:00", {"severity": 1}), ("responded", "06-17 16:00", {})], "warned", {3600, 14400}),
        ([("opened", "06-17 15:05", {"severity": 1}), ("responded", "06-17 15:15", {}), ("paused", "06-18 14:59", {})],
         "paused", {}),
        ([("opened", "06-16 15:05", {"severity": 1}), ("responded", "06-16 15:15", {}), ("paused", "06-18 14:59", {})],
         "breached", {}),
    ],
)  # fmt: skip
async def test_a_clock_is_in_one_state_and_at_risk_within_each_longer_time(
    world: TimerWorld, facts: Sequence[tuple[str, str, dict[str, Any]]], state: str, at_risk: Any
) -> None:
    numbered = [numbered_fact(number, kind, when, **more) for number, (kind, when, more) in enumerate(facts, start=1)]
    await world.receive(*events("SR-1", numbered))
    await world.advance(NOW)
    await measure(world)
    await check_open_clocks(world, ["SR-1"])
    clock = "response" if facts[0][1] in ("06-18 14:50", "06-18 13:50") else "resolution"
    found = {one for one in OpenClockState if gauge("sla_open_clocks", clock=clock, severity="1", state=one)}
    assert found == {state}
    within = {s for s in AT_RISK_SECONDS if gauge("sla_at_risk_clocks", clock=clock, severity="1", within=str(s))}
    assert within == (set(AT_RISK_SECONDS) - {900} if facts[0][1] == "06-18 14:50" else set(at_risk))


async def test_silence_is_judged_by_the_watermark_or_up_to_now_while_intake_is_silent(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [numbered_fact(1, "opened", "06-17 13:30", severity=1)]))
    await world.advance(moment("06-18 14:00"))
    await measure(world)
    assert gauge("sla_open_clocks", clock="resolution", severity="1", state="running") == 1
    world.service.source_probe.silent_partitions = frozenset(range(PARTITIONS))
    await measure(world)
    await check_open_clocks(world, ["SR-1"])
    assert gauge("sla_open_clocks", clock="resolution", severity="1", state="silent") == 1


async def test_live_outcomes_are_counted_apart_from_those_of_history(world: TimerWorld) -> None:
    before = counted()
    for seed in range(60):
        facts, fields = shifted_story(seed)
        await world.receive(*events(f"L-{seed}", facts, channel=CHANNELS[seed % 4], **fields))
        await world.receive(history(f"H-{seed}", facts, NOW - timedelta(days=seed % 3), **fields))
    await world.advance(NOW)
    after = counted()
    for historic, name in ((False, "live"), (True, "historic")):
        report = await compliance(world, historic=str(historic).lower())
        for labels, number in report.items():
            assert after[name, *labels] - before[name, *labels] == number, (name, labels)
        assert sum(report.values()) > 50
    assert (await compliance(world)).total() == (after - before).total()


async def test_a_voided_breach_is_counted_but_no_part_of_the_ratio(world: TimerWorld) -> None:
    before = counted()
    await world.receive(*events("SR-1", [OPENED]))
    await world.advance(moment("06-18 14:05"))
    late = numbered_fact(2, "responded", "06-18 13:10", "06-18 14:10")
    await world.receive(events("SR-1", [OPENED, late])[-1])
    await measure(world)
    live = {key: number for key, number in (counted() - before).items() if number}
    assert live == {
        ("live", "response", "1", "breached"): 1,
        ("live", "response", "1", "voided"): 1,
        ("live", "response", "1", "met"): 1,
    }
    assert await compliance(world) == {("response", "1", "met"): 1}
    assert gauge("sla_met_ratio", clock="response", severity="1", window="24h") == 1.0
    assert gauge("sla_open_clocks", clock="response", severity="1", state="breached") == 0


async def test_voiding_history_is_history_and_a_voided_warning_is_no_outcome(world: TimerWorld) -> None:
    before = counted()
    await world.receive(history("SR-1", [OPENED], moment("06-18 14:05")))
    late = numbered_fact(2, "responded", "06-18 13:10", "06-18 14:10")
    await world.receive(events("SR-1", [OPENED, late])[-1])
    changes = {key: number for key, number in (counted() - before).items() if number}
    assert changes == {
        ("historic", "response", "1", "breached"): 1,
        ("historic", "response", "1", "voided"): 1,
        ("historic", "response", "1", "met"): 1,
    }


async def test_the_ratios_are_those_of_compliance_without_history(world: TimerWorld) -> None:
    for seed in range(80):
        facts, fields = shifted_story(seed)
        await world.receive(*events(f"L-{seed}", facts, channel=CHANNELS[seed % 4], **fields))
        await world.receive(history(f"H-{seed}", facts, NOW, **fields))
    await world.advance(NOW)
    await measure(world)
    known = 0
    for window, length in metrics.WINDOWS.items():
        period = {"from": render_instant(NOW - length), "to": render_instant(NOW)}
        report = await world.get("/v1/compliance", query=period | {"group_by": "clock,severity", "historic": "false"})
        shares = {(item["clock"], str(item["severity"])): item["percent_met"] for item in report["items"]}
        for clock, severity in product(metrics.CLOCKS, metrics.SEVERITIES):
            percent = shares.get((clock, severity))
            shown = gauge("sla_met_ratio", clock=clock, severity=severity, window=window)
            assert isnan(shown) if percent is None else shown * 100 == pytest.approx(percent, abs=0.001)
            known += percent is not None
    assert known > 6


@pytest.mark.rule("6.2", "6.21")
async def test_the_averages_of_channels_are_those_of_this_month(world: TimerWorld) -> None:
    own = "customers: {vip: {average_under: {voicemail: 10m}}}"
    await world.store_policy(changed_policy("customers: {}", own, version="2"))
    vip = {"id": "vip", "name": "V"}
    await open_calls(world, "voicemail", [20, 40, None])
    await open_calls(world, "voicemail", [9, None], customer=vip)
    await open_calls(world, "chat", [4], opened="05-31 12:00")
    await measure(world)
    report = await world.get("/v1/compliance", query={"from": "2026-06-01T04:00:00Z", "to": render_instant(NOW)})
    chat, everybody, own = report["channels"]
    assert (chat["month"], everybody["customer"], own["customer"]) == (None, None, "vip")
    assert (everybody["unanswered"], own["unanswered"], own["target_seconds"]) == (1, 1, 600)
    assert own["mean_seconds"] / own["target_seconds"] > everybody["mean_seconds"] / everybody["target_seconds"]
    shown = [
        gauge(f"sla_channel_{name}", channel="voicemail")
        for name in ("average_seconds", "target_seconds", "unanswered")
    ]
    assert shown == [own["mean_seconds"], own["target_seconds"], everybody["unanswered"] + own["unanswered"]]
    assert isnan(gauge("sla_channel_average_seconds", channel="chat"))
    assert gauge("sla_channel_target_seconds", channel="chat") == chat["target_seconds"]
    assert gauge("sla_channel_unanswered", channel="chat") == 0
    assert isnan(gauge("sla_channel_target_seconds", channel="portal"))


async def test_the_delay_of_receipt_is_that_of_live_facts(world: TimerWorld) -> None:
    count, total = delay_count(), counter_value("sla_receipt_delay_seconds_sum")
    opened = numbered_fact(1, "opened", "06-18 11:00", "06-18 13:00", severity=1)
    await world.receive(history("H-1", [opened, RESPONDED], moment("06-18 14:00")))
    assert delay_count() == count
    await world.receive(*events("SR-1", [opened, RESPONDED]))
    await world.receive(*events("SR-1", [opened, RESPONDED]))
    assert delay_count() == count + 2
    assert counter_value("sla_receipt_delay_seconds_sum") == total + 7200
    later = numbered_fact(3, "resolved", "06-18 14:30", "06-18 14:31")
    await world.receive(events("H-1", [opened, RESPONDED, later])[-1])
    assert delay_count() == count + 3


@pytest.mark.parametrize(
    ("facts", "lateness"),
    [
        ([("opened", "06-18 11:00", "06-18 14:59")], {"warned": 60, "breached": 60}),
        ([("opened", "06-18 13:00", "06-18 13:00"), ("assigned", "06-18 14:58", "06-18 14:58")],
         {"warned": 75 * 60, "breached": 3600}),
        ([("opened", "06-18 13:30", "06-18 13:40"), ("assigned", "06-18 14:58", "06-18 14:58")],
         {"warned": 45 * 60, "breached": 30 * 60}),
        ([("opened", "06-17 13:00", "06-17 13:00"), ("responded", "06-17 13:30", "06-18 14:50"),
          ("assigned", "06-18 14:59", "06-18 14:59")],
         {"warned": 600, "breached": 600, "step 1": 600, "step 2": 600}),
    ],
)  # fmt: skip
async def test_lateness_begins_with_the_deadline_or_the_receipt_of_the_fact_that_made_it_due(
    world: TimerWorld, facts: Sequence[tuple[str, str, str]], lateness: Mapping[str, float]
) -> None:
    """A tool that posts late makes nothing late; an outage of this service does, whatever was posted meanwhile."""
    severity = {"opened": {"severity": 1}}
    numbered = [
        numbered_fact(number, kind, when, received, **severity.get(kind, {}))
        for number, (kind, when, received) in enumerate(facts, start=1)
    ]
    count, total = counter_value("sla_fire_lateness_seconds_count"), counter_value("sla_fire_lateness_seconds_sum")
    await world.receive(*events("SR-1", numbered))
    assert counter_value("sla_fire_lateness_seconds_count") - count == len(lateness)
    assert counter_value("sla_fire_lateness_seconds_sum") - total == sum(lateness.values())


async def test_history_has_no_lateness(world: TimerWorld) -> None:
    count = counter_value("sla_fire_lateness_seconds_count")
    await world.receive(history("SR-1", [OPENED], NOW))
    assert counter_value("sla_fire_lateness_seconds_count") == count


async def test_numbers_that_cannot_be_read_for_a_while_are_unknown_and_ages_grow(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_file = tmp_path / "clock"
    clock_file.write_text(f"2000-01-01T00:00:00+00:00 {NOW.isoformat()} 0\n")
    async with timer_world(make_database("sla-timer"), tmp_path, FileClock(clock_file)) as world:
        await world.receive(*events("SR-1", [OPENED]))
        await world.set_watermark(moment("06-18 14:59"))
        await measure(world)
        assert gauge("sla_progress_age_seconds", partition="0") == 60
        assert gauge("sla_oldest_overdue_seconds") == 75 * 60
        async with world.writer.begin() as connection:
            await connection.execute(text("ALTER TABLE clocks RENAME TO lost_clocks"))
            await connection.execute(text("ALTER TABLE agenda RENAME TO lost_agenda"))
        await fail_to_measure(world)
        assert gauge("sla_open_clocks", clock="response", severity="1", state="running") == 1
        monkeypatch.setattr("tocsin.runtime.metrics.UNKNOWN_SECONDS", 0.0)
        await fail_to_measure(world)
        with clock_file.open("a") as lines:
            lines.write(f"2001-01-01T00:00:00+00:00 {(NOW + timedelta(minutes=10)).isoformat()} 0\n")
        assert isnan(gauge("sla_open_clocks", clock="response", severity="1", state="running"))
        assert isnan(gauge("sla_at_risk_clocks", clock="response", severity="1", within="900"))
        assert isnan(gauge("sla_met_ratio", clock="response", severity="1", window="24h"))
        assert isnan(gauge("sla_channel_average_seconds", channel="chat"))
        assert gauge("sla_progress_age_seconds", partition="0") == 11 * 60
        assert gauge("sla_oldest_overdue_seconds") == 85 * 60
        async with world.writer.begin() as connection:
            await connection.execute(text("ALTER TABLE lost_clocks RENAME TO clocks"))
            await connection.execute(text("ALTER TABLE lost_agenda RENAME TO agenda"))


async def test_a_partition_without_a_watermark_is_as_old_as_the_process(world: TimerWorld) -> None:
    later = replace(world.context, clock=BusinessClock(NOW + timedelta(minutes=1), NOW, 0.0))
    started = ClockGauges(world.context, world.service.source_probe)
    assert gauge("sla_progress_age_seconds", partition="3") == 0
    started._context = later
    assert gauge("sla_progress_age_seconds", partition="3") == 60


async def test_another_replica_shows_the_same_gauges(world: TimerWorld) -> None:
    for seed in range(40):
        facts, fields = shifted_story(seed)
        await world.receive(*events(f"SR-{seed}", facts, channel=CHANNELS[seed % 4], **fields))
    await world.advance(NOW)
    await measure(world)
    shown = database_gauges()
    replica = world.another_process()
    async with replica.reader.connect() as connection:
        await replica.policies.refresh(connection)
    metrics.forget_clocks()
    metrics.forget_compliance()
    other = ClockGauges(replica, world.service.source_probe)
    await other.measure_ages()
    await other.measure_clocks()
    await other.measure_compliance()
    assert database_gauges() == shown
    assert len({name for name, _ in shown}) == 8


async def test_a_ticket_is_found_by_its_own_id(world: TimerWorld) -> None:
    for source, name in (("tests", "SR-1"), ("my tool/2", "A/B 1%2F2")):
        about = {"source": source, "ticket_id": ticket_id("default", source, name)}
        await world.receive(*events(name, [OPENED], **about))
        path = f"/v1/tickets/by-external/{quote(source, safe='')}/{quote(name, safe='')}/clocks"
        found = await world.get(path)
        assert found["ticket_id"] == str(about["ticket_id"])
        assert found == await world.get(f"/v1/tickets/{about['ticket_id']}/clocks")
        await world.get(path, 404, tenant="other")
    problem = await world.get("/v1/tickets/by-external/tests/SR-9/clocks", 404)
    assert problem == await world.get(f"/v1/tickets/{ticket_id('default', 'tests', 'SR-9')}/clocks", 404)


async def measure(world: TimerWorld) -> None:
    await world.service.gauges.measure_ages()
    await world.service.gauges.measure_clocks()
    await world.service.gauges.measure_compliance()


async def fail_to_measure(world: TimerWorld) -> None:
    gauges = world.service.gauges
    for job in (gauges.measure_ages, gauges.measure_clocks, gauges.measure_compliance):
        with pytest.raises(DBAPIError):
            await job()


def gauge(name: str, **labels: str) -> float:
    """The value of a metric that exists."""
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None, (name, labels)
    return value


def database_gauges() -> dict[tuple[str, str], str]:
    """Every gauge that is read from the database; as text, so that NaN equals NaN."""
    read = [metrics.OPEN_CLOCKS, metrics.AT_RISK_CLOCKS, metrics.MET_RATIO, metrics.CHANNEL_AVERAGE]
    read += [metrics.CHANNEL_TARGET, metrics.CHANNEL_UNANSWERED, metrics.OLDEST_OVERDUE, metrics.PROGRESS_AGE]
    samples = [sample for metric in read for family in metric.collect() for sample in family.samples]
    return {(sample.name, str(sample.labels)): str(sample.value) for sample in samples}


def counted() -> Counter[Labels]:
    """The counters of outcomes, by kind, clock, severity and outcome."""
    names = {"live": "sla_clock_outcomes_total", "historic": "sla_historic_outcomes_total"}
    return Counter(
        {
            (kind, clock, severity, outcome): int(gauge(name, clock=clock, severity=severity, outcome=outcome))
            for kind, name in names.items()
            for clock, severity, outcome in product(metrics.CLOCKS, metrics.SEVERITIES, (*OUTCOMES, "voided"))
        }
    )


async def compliance(world: TimerWorld, **filters: str) -> Counter[Labels]:
    """What the report says of all time, by clock, severity and outcome."""
    report = await world.get("/v1/compliance", query=ALL_TIME | {"group_by": "clock,severity"} | filters)
    found: Counter[Labels] = Counter()
    for item in report["items"]:
        found.update({(item["clock"], str(item["severity"]), outcome): item[outcome] for outcome in OUTCOMES})
    return +found


async def check_open_clocks(world: TimerWorld, names: Sequence[str]) -> set[str]:
    """Compare the gauges of open clocks with the clocks of these tickets, which are all; return the states found."""
    states: Counter[Labels] = Counter()
    at_risk: Counter[Labels] = Counter()
    for name in names:
        shown = await world.get(f"/v1/tickets/by-external/tests/{name}/clocks")
        for clock in (clock for clock in shown["clocks"] if clock["ended_at"] is None):
            labels, state = (clock["clock"], str(shown["severity"])), state_of(clock, shown)
            states[*labels, state] += 1
            if state in ("running", "warned") and clock["due_at"] is not None:
                left = (datetime.fromisoformat(clock["due_at"]) - NOW).total_seconds()
                at_risk.update((*labels, str(within)) for within in AT_RISK_SECONDS if left <= within)
    for clock_name, severity in product(metrics.CLOCKS, metrics.SEVERITIES):
        for state in OpenClockState:
            value = gauge("sla_open_clocks", clock=clock_name, severity=severity, state=state)
            assert value == states[clock_name, severity, state], (clock_name, severity, state)
        for within in map(str, AT_RISK_SECONDS):
            value = gauge("sla_at_risk_clocks", clock=clock_name, severity=severity, within=within)
            assert value == at_risk[clock_name, severity, within], (clock_name, severity, within)
    return {state for _, _, state in states}


def state_of(clock: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """The state of an open clock, as the documentation of the metric defines it."""
    warned = [(event["cycle"], event["clock"]) for event in shown["events"] if event["type"] == "clock.warned"]
    if clock["outcome"] == "breached":
        return "breached"
    if clock["provisional"] and clock["due_at"] is not None and clock["due_at"] <= shown["told_to"]:
        return "silent"
    if clock["outcome"] == "paused":
        return "paused"
    return "warned" if (clock["cycle"], clock["clock"]) in warned else "running"


def shifted_story(seed: int) -> tuple[list[Fact], dict[str, Any]]:
    """A random story up to the instant at which it is evaluated, moved so that this is NOW; and its ticket's fields."""
    drawn = random_story(Random(seed))
    until = datetime.fromisoformat(drawn["until"])
    facts = [fact for fact in facts_of(drawn) if fact.received_at <= until]
    fields = fields_of(drawn)
    fields.pop("channel", None)
    if "starts_at" in fields:
        fields["starts_at"] = datetime.fromisoformat(fields["starts_at"]) + (NOW - until)
    return [moved(fact, NOW - until) for fact in facts], fields


def history(name: str, facts: Sequence[Fact], received_at: datetime, **fields: Any) -> TicketImported:
    """What intake publishes of the facts that have occurred, posted as history at that instant."""
    opening, *later = facts
    occurred = [opening, *(fact for fact in later if fact.occurred_at <= received_at)]
    received = [fact.model_copy(update={"received_at": received_at}) for fact in occurred]
    return imported(name, received, received_at, **fields)


def moved(fact: Fact, by: timedelta) -> Fact:
    return fact.model_copy(update={"occurred_at": fact.occurred_at + by, "received_at": fact.received_at + by})


async def open_calls(
    world: TimerWorld, channel: str, minutes: Sequence[int | None], *, opened: str = "06-18 12:00", **fields: Any
) -> None:
    """Tickets of a channel that were answered after that many minutes, or not at all."""
    for number, wait in enumerate(minutes):
        facts = [numbered_fact(1, "opened", opened, severity=2)]
        if wait is not None:
            at = facts[0].occurred_at + timedelta(minutes=wait)
            facts.append(RESPONDED.model_copy(update={"occurred_at": at, "received_at": at}))
        name = f"{channel}-{opened}-{number}-{fields.get('customer', {}).get('id')}"
        await world.receive(*events(name, facts, channel=channel, **fields))


def delay_count() -> float:
    return counter_value("sla_receipt_delay_seconds_count")
