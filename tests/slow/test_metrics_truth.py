"""A real Prometheus scrapes a real run, with replicas: every panel and alert is evaluated, and the numbers are those of
the APIs.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from math import isnan
from typing import Any

import asyncpg
import psutil
import pytest
from support.movable_stack import start_movable_stack
from support.observed_day import ARCHIVE, IMPORTED, Json, ObservedDay, play
from support.polling import eventually
from support.prometheus import scraping
from support.scenario import Scenario
from support.servers import SERVICES
from tocsin.instants import render_instant
from tocsin.runtime.kafka.client import PARTITIONS
from tocsin_local.layout import REPOSITORY
from tocsin_local.loopback import LOOPBACK
from tocsin_local.stack import Stack

pytestmark = pytest.mark.long

SETTLED_SECONDS = 100  # tables are measured once a minute
REPLICATED = ("sla-timer", "notifier")
EMPTY_PANELS = {"Certificates", "Calendar feeds"}  # the stack sends mail without TLS and has no feed
OF_THE_BOARD = ("sla_board_", "sla_webhook")  # the stack runs the four services that need no board
PANELS = {
    dashboard.stem: json.loads(dashboard.read_text())["panels"]
    for dashboard in (REPOSITORY / "deploy/grafana/dashboards").glob("*.json")
}
FIRING = {
    "ResolutionOverdue",
    "ResponseOverdue",
    "UpperTierReached",
    "LadderExhausted",
    "MailAddressRefused",
    "MailReportUnreadable",
    "Watchdog",
}
"""Alerts that must fire at the end of the day. ClockMissed may have ended; it looks at five real minutes."""
MAY_FIRE = {"ClockMissed", "ChannelAverageHigh", "DirectoryGap", "WebhooksUnmapped"}

Numbers = Mapping[Any, float]
"""By the values of the labels, a tuple."""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedDay]:
    """The observed day, played once for all tests."""
    folder = tmp_path_factory.mktemp("observed")
    with start_movable_stack(folder) as stack:
        targets = {service: [stack.stack.run["urls"][service].removeprefix("http://")] for service in SERVICES}
        for service in REPLICATED:
            targets[service].append(replica(stack.stack, service))
        with scraping(folder / "prometheus", targets) as prometheus, asyncio.Runner() as runner:
            observed = ObservedDay(stack, prometheus)
            scenario = Scenario(stack)
            runner.run(scenario.__aenter__())
            try:
                runner.run(play(observed, scenario))
                yield observed
            finally:
                runner.run(scenario.__aexit__(None, None, None))


def replica(stack: Stack, service: str) -> str:
    """The address of another process of the service."""
    name = stack.add_replica(service)
    process = psutil.Process(stack.run["pids"][name])
    (port,) = {one.laddr.port for one in process.net_connections("tcp4") if one.status == psutil.CONN_LISTEN}
    return f"{LOOPBACK}:{port}"


async def agree(day: ObservedDay, expected: Callable[[], Numbers], query: str, *labels: str) -> None:
    """Waits until Prometheus answers the query with the numbers of an API. A series whose value is 0 may be missing."""

    def differences() -> dict[tuple[str, ...], tuple[float, float]]:
        wanted, found = expected(), day.prometheus.by(query, *labels)
        pairs = {key: (wanted.get(key, 0.0), found.get(key, 0.0)) for key in {*wanted, *found}}
        return {key: pair for key, pair in pairs.items() if pair[0] != pytest.approx(pair[1], rel=1e-6)}

    assert expected(), f"nothing to compare with {query}"
    await eventually(
        lambda: not differences(), lambda: f"{query} agrees; by {labels}: {differences()}", SETTLED_SECONDS, every=1
    )


@pytest.mark.parametrize("dashboard", sorted(PANELS))
async def test_every_panel_shows_something(day: ObservedDay, dashboard: str) -> None:
    targets = [
        (panel["title"], each["expr"])
        for panel in PANELS[dashboard]
        for each in panel.get("targets", ())
        if not any(name in each["expr"] for name in OF_THE_BOARD)
    ]

    def empty() -> set[str]:
        shown = [(title, expression.replace("$__rate_interval", "1m")) for title, expression in targets]
        return {title for title, expression in shown if not day.prometheus.query(expression)}

    await eventually(lambda: empty() <= EMPTY_PANELS, empty, SETTLED_SECONDS, every=1)


async def test_every_alert_is_evaluated_and_the_right_ones_fire(day: ObservedDay) -> None:
    assert day.prometheus.unhealthy_rules() == {}
    await eventually(lambda: day.prometheus.firing().keys() >= FIRING, lambda: day.prometheus.firing().keys())
    firing = day.prometheus.firing()
    assert firing.keys() <= FIRING | MAY_FIRE
    assert all("<no value>" not in json.dumps(alert["annotations"]) for alerts in firing.values() for alert in alerts)
    tiers = {(alert["labels"]["tier"], alert["labels"]["ticket_severity"]) for alert in firing["UpperTierReached"]}
    recent = day.prometheus.by(
        'max by (tier, severity) (max_over_time(sla_open_ladders{tier=~"[4-6]"}[15m]))', "tier", "severity"
    )
    assert {key for key in open_ladders(day) if key[0] in "456"} <= tiers, "the alerts of ladders that are open now"
    assert tiers <= {key for key, count in recent.items() if count > 0}, "those that were, for ten minutes"


def test_imported_history_fires_nothing(day: ObservedDay) -> None:
    assert day.fired_after_import.keys() <= {"Watchdog", "DirectoryGap"}


async def test_imported_history_is_counted_apart(day: ObservedDay) -> None:
    await agree(
        day,
        lambda: outcomes(day, historic=True),
        'sum by (clock, severity, outcome) (sla_historic_outcomes_total{outcome=~"met|breached|cancelled"})',
        "clock",
        "severity",
        "outcome",
    )
    assert sum(outcomes(day, historic=True).values()) == 2 * IMPORTED  # a response and a resolution of each


def outcomes(day: ObservedDay, *, historic: bool, **period: datetime) -> dict[tuple[str, ...], float]:
    """The outcomes of the compliance report by clock, severity and outcome."""
    begin, end = period.get("begin", day.now - timedelta(days=365)), day.now + timedelta(microseconds=1)
    report = day.get(
        "sla-timer",
        "/v1/compliance",
        **{"from": render_instant(begin), "to": render_instant(end)},
        group_by="severity",
        historic=historic,
    )
    return {
        (item["clock"], str(item["severity"]), outcome): item[outcome]
        for item in report["items"]
        for outcome in ("met", "breached", "cancelled")
        if item[outcome]
    }


async def test_live_outcomes_less_voided_ones_are_those_of_compliance(day: ObservedDay) -> None:
    def decided() -> Numbers:
        clocks: Counter[tuple[str, ...]] = Counter()
        for (clock, _, _), count in outcomes(day, historic=False).items():
            clocks[clock,] += int(count)
        return clocks

    counted = 'sum by (clock) (sla_clock_outcomes_total{{outcome{}"voided"}})'
    await agree(day, decided, f"{counted.format('!=')} - {counted.format('=')}", "clock")
    assert day.prometheus.value('sum(sla_clock_outcomes_total{outcome="voided"})') > 0


@pytest.mark.parametrize(("window", "length"), [("24h", timedelta(hours=24)), ("30d", timedelta(days=30))])
async def test_the_met_ratio_is_that_of_compliance(day: ObservedDay, window: str, length: timedelta) -> None:
    """One response of the day was reported as missed, and then proved to have been in time."""

    def ratios() -> Numbers:
        found = outcomes(day, historic=False, begin=day.now - length)
        groups = {(clock, severity) for clock, severity, outcome in found if outcome != "cancelled"}
        return {group: found.get((*group, "met"), 0) / decided(found, group) for group in groups}

    def decided(found: Numbers, group: tuple[str, ...]) -> float:
        return found.get((*group, "met"), 0) + found.get((*group, "breached"), 0)

    await agree(day, ratios, f'max by (clock, severity) (sla_met_ratio{{window="{window}"}}) >= 0', "clock", "severity")


async def test_open_clocks_are_those_of_the_tickets(day: ObservedDay) -> None:
    def states() -> Numbers:
        return Counter(
            (clock["clock"], str(timeline["severity"]), state(clock, timeline["told_to"]))
            for timeline in day.clocks()
            for clock in timeline["clocks"]
            if clock["ended_at"] is None and clock["cycle"] == timeline["clocks"][-1]["cycle"]
        )

    await agree(day, states, "max by (clock, severity, state) (sla_open_clocks)", "clock", "severity", "state")
    assert {key[2] for key in states()} == {"running", "paused", "warned", "breached", "silent"}


def state(clock: Mapping[str, Any], now: str) -> str:
    """The state of a clock that has not ended, from the API's timeline."""
    if clock["outcome"] in ("breached", "paused"):
        return str(clock["outcome"])
    if clock["provisional"] and clock["due_at"] < now:
        return "silent"
    return "warned" if clock["warn_at"] is not None and clock["warn_at"] <= now else "running"


async def test_clocks_at_risk_are_those_that_fall_due_soon(day: ObservedDay) -> None:
    def at_risk() -> Numbers:
        found: Counter[tuple[str, ...]] = Counter()
        for timeline in day.clocks():
            for clock in timeline["clocks"]:
                running = clock["ended_at"] is None and state(clock, timeline["told_to"]) in ("running", "warned")
                if running and clock["due_at"] is not None:
                    left = (datetime.fromisoformat(clock["due_at"]) - day.now).total_seconds()
                    for within in (900, 3600, 14400):
                        found[str(within),] += left <= within
        return found

    await agree(day, at_risk, "sum by (within) (max by (clock, severity, within) (sla_at_risk_clocks))", "within")


def open_ladders(day: ObservedDay) -> Counter[tuple[str, ...]]:
    """The open ladders by tier and severity, from the escalator."""
    return Counter(
        ("exhausted" if one["state"] == "exhausted" else str(one["tier"]), str(one["severity"]))
        for one in day.items("escalator", "/v1/escalations")
        if one["state"] != "ended"
    )


async def test_open_ladders_are_those_of_the_escalator(day: ObservedDay) -> None:
    await agree(day, lambda: open_ladders(day), "max by (tier, severity) (sla_open_ladders)", "tier", "severity")
    assert any(tier == "exhausted" for tier, _ in open_ladders(day))


async def test_escalations_and_exhausted_ladders_are_those_of_the_escalator(day: ObservedDay) -> None:
    def live() -> list[Any]:
        return [ladder for ladder in day.items("escalator", "/v1/escalations") if ladder["source"] != ARCHIVE]

    def steps() -> Numbers:
        return Counter((str(step["tier"]), step["reason"]) for ladder in live() for step in ladder["told"])

    def exhausted() -> Numbers:
        return Counter((ladder["exhausted"],) for ladder in live() if ladder["exhausted"])

    await agree(day, steps, "sum by (tier, reason) (sla_escalations_total)", "tier", "reason")
    await agree(day, exhausted, "sum by (reason) (sla_escalations_exhausted_total)", "reason")


async def test_mails_are_the_deliveries_of_the_notifier(day: ObservedDay) -> None:
    deliveries = list(day.items("notifier", "/v1/deliveries"))
    bounced = sum(one["state"] == "bounced" for one in deliveries)
    sent = sum(one["state"] == "sent" for one in deliveries) + bounced
    assert bounced == 1
    assert sent == len(day.messages()), "every mail is in the inbox"
    await agree(
        day,
        lambda: {("sent",): sent, ("bounced",): bounced},
        'sum by (result) (sla_emails_total{result=~"sent|bounced|undeliverable|refused"})',
        "result",
    )
    alarming = ("escalation", "response_missed", "answer_missed")
    about_breaches = sum(one["kind"] in alarming and one["sent_at"] is not None for one in deliveries)
    await agree(day, lambda: {(): about_breaches}, "sum(sla_breach_to_email_seconds_count)")
    await agree(day, lambda: {("bounced",): bounced}, "max by (state) (sla_mail_undelivered)", "state")
    assert day.prometheus.value("max(sla_mail_queue_overdue_seconds)") == 0
    assert day.prometheus.value("sum(max by (state) (sla_mail_queue))") == 0
    assert day.prometheus.value("max(sla_mail_queue_oldest_age_seconds)") == 0


async def test_reports_of_mail_servers_are_counted(day: ObservedDay) -> None:
    await agree(
        day,
        lambda: {("bounced",): 1, ("unreadable",): 1},
        "max by (result) (sla_mail_reports_total)",
        "result",
    )


def test_a_ticket_posted_late_is_no_lateness_of_ours(day: ObservedDay) -> None:
    """The demo's day was posted after it was over: its deadlines had passed by hours when they became known."""
    for metric in ("sla_fire_lateness_seconds", "sla_breach_to_email_seconds"):
        events = day.prometheus.value(f"sum({metric}_count)")
        in_time = day.prometheus.value(f'sum({metric}_bucket{{le="60.0"}})')
        assert in_time == events > 0, (metric, sent_late(day))
    assert day.prometheus.value("sum(sla_receipt_delay_seconds_sum)") > 3600


def sent_late(day: ObservedDay) -> list[Json]:
    """The deliveries that waited in the notifier for more than a minute."""
    sent = [one for one in day.items("notifier", "/v1/deliveries") if one["sent_at"]]
    return [one for one in sent if seconds(one["queued_at"], one["sent_at"]) > 60]


async def test_receipt_delay_and_answer_times_are_those_of_the_facts(day: ObservedDay) -> None:
    def delays() -> Numbers:
        live = [one for one in day.items("intake", "/v1/tickets") if one["source"] != ARCHIVE]
        tickets = [day.get("intake", f"/v1/tickets/{ticket['ticket_id']}") for ticket in live]
        facts = [fact for ticket in tickets for fact in ticket["facts"]]
        return {(): sum(seconds(fact["occurred_at"], fact["received_at"]) for fact in facts)}

    def answers() -> Numbers:
        return Counter(
            (timeline["channel"],)
            for timeline in day.clocks()
            if timeline["source"] != ARCHIVE and timeline["first_responded_at"]
        )

    await agree(day, delays, "sum(sla_receipt_delay_seconds_sum)")
    await agree(day, answers, "sum by (channel) (sla_answer_seconds_count)", "channel")


def seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


async def test_channel_averages_are_those_of_compliance(day: ObservedDay) -> None:
    month = day.now - timedelta(days=40)

    def channels(column: str) -> Numbers:
        report = day.get(
            "sla-timer", "/v1/compliance", **{"from": render_instant(month), "to": render_instant(day.now)}
        )
        latest = {
            one["channel"]: one for one in report["channels"] if one["customer"] is None and one["month"] is not None
        }
        return {(channel,): float(one[column]) for channel, one in latest.items()}

    for metric, column in (
        ("sla_channel_average_seconds", "mean_seconds"),
        ("sla_channel_target_seconds", "target_seconds"),
        ("sla_channel_unanswered", "unanswered"),
    ):
        shown = day.prometheus.by(f"max by (channel) ({metric})", "channel")
        assert {key for key, value in shown.items() if not isnan(value)} == set(channels(column)), metric
        await agree(day, partial(channels, column), f"max by (channel) ({metric}) >= 0", "channel")


async def test_ingested_tickets_defaults_and_disputes_are_those_of_intake(day: ObservedDay) -> None:
    def created() -> Numbers:
        tickets = day.items("intake", "/v1/tickets")
        return Counter((ticket["source"], str(ticket["initial_severity"])) for ticket in tickets)

    def disputed() -> Numbers:
        return {(): len(list(day.items("intake", "/v1/tickets", flag="severity_disputed", state="open")))}

    def defaults() -> Numbers:
        flags = [(ticket["source"], flag) for ticket in day.items("intake", "/v1/tickets") for flag in ticket["flags"]]
        return Counter((source, flag.removeprefix("default_")) for source, flag in flags if flag.startswith("default_"))

    await agree(
        day, created, 'sum by (source, severity) (sla_tickets_ingested_total{result="created"})', "source", "severity"
    )
    await agree(day, disputed, "max(sla_severity_disputed)")
    await agree(day, defaults, "sum by (source, field) (sla_default_fields_total)", "source", "field")


def test_the_first_ticket_of_a_source_is_seen(day: ObservedDay) -> None:
    assert day.first_ticket_increase >= 1


async def test_webhooks_keys_and_links_are_counted(day: ObservedDay) -> None:
    hooks = {(result,): count for result, count in day.hooks.items()}
    await agree(day, lambda: hooks, "sum by (result) (sla_hook_deliveries_total)", "result")
    unmapped = len(list(day.items("intake", "/v1/hooks/unmapped")))
    assert unmapped == 1
    await agree(day, lambda: {(): unmapped}, "sum(max by (provider) (sla_hook_unmapped_now))")
    await agree(day, lambda: {(): unmapped}, "sum(sla_hook_unmapped_total)")
    assert day.prometheus.value("max(sla_hook_waiting)") == 0
    ignored = Counter((one["reason"],) for one in day.items("intake", "/v1/hooks/ignored"))
    assert sum(ignored.values()) == 1
    await agree(day, lambda: ignored, "sum by (reason) (sla_mails_ignored_total)", "reason")
    delivered = {("freshdesk",): 1, ("email",): 1}
    await agree(
        day, lambda: delivered, "sum by (provider) (sla_hook_last_delivery_timestamp_seconds > bool 0)", "provider"
    )
    await agree(
        day,
        lambda: {("freshdesk",): 1},
        "sum by (provider) (sla_hook_last_ticket_timestamp_seconds > bool 0)",
        "provider",
    )
    assert set(day.prometheus.by("max by (provider) (sla_hook_ready)", "provider").values()) == {1}
    await agree(day, lambda: {("unknown",): 2}, "sum by (reason) (sla_keys_refused_total)", "reason")
    (acknowledged,) = (
        one for one in day.items("escalator", "/v1/escalations") if one["acknowledgements"] and one["state"] != "ended"
    )
    assert len(acknowledged["acknowledgements"]) == 1
    await agree(
        day, lambda: {("shown",): 1, ("taken",): 1}, "sum by (result) (sla_acknowledgement_links_total)", "result"
    )


async def test_on_call_is_what_the_notifier_says(day: ObservedDay) -> None:
    roles = {role for (role,) in day.prometheus.by("max by (role) (sla_on_call)", "role")}
    assert len(roles) == 6

    def holders() -> Numbers:
        return {(role,): day.get("notifier", "/v1/on-call", role=role)["holder"] is not None for role in roles}

    await agree(day, holders, "max by (role) (sla_on_call)", "role")
    assert day.prometheus.value("max(sla_directory_unknown_events)") == 0
    assert day.prometheus.value("max(sla_directory_broken)") == 0


async def test_table_rows_are_those_of_the_databases(day: ObservedDay) -> None:
    databases = day.stack.stack.run["databases"]
    changing = {"offsets", "consumer_replicas", "outbox", "outbox_lease", "key_uses"}
    for service, url in databases.items():
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            names = [row["relname"] for row in await connection.fetch("SELECT relname FROM pg_stat_user_tables")]
            rows = {
                (name,): await connection.fetchval(f'SELECT count(*) FROM "{name}"')
                for name in names
                if name not in changing and name != "alembic_version"
            }
        finally:
            await connection.close()
        ignored = "|".join(changing)
        query = f'max by (table) (sla_table_rows{{job="{service}",table!~"{ignored}"}})'
        await agree(day, partial(dict, rows), query, "table")
        assert all(value > 0 for value in day.prometheus.by(query.replace("_rows", "_bytes"), "table").values())


def test_the_pipeline_is_idle_and_healthy(day: ObservedDay) -> None:
    prometheus = day.prometheus
    assert prometheus.value("sum(up)") == len(SERVICES) + len(REPLICATED)
    assert set(prometheus.by("sum by (job) (sla_relay_leader)", "job").values()) == {1}
    assert set(prometheus.by("sum by (job) (sla_partitions_held)", "job").values()) == {PARTITIONS}
    assert prometheus.value("sum(max by (job) (sla_outbox_pending))") == 0
    assert prometheus.value("max(sla_outbox_oldest_age_seconds)") == 0
    assert prometheus.value("max(sla_oldest_overdue_seconds)") == 0
    assert prometheus.value("max(sla_progress_age_seconds)") < 30
    assert prometheus.value("max(sla_unconfirmed)") == 0
    assert prometheus.value('sum(max by (job, topic) (sla_consumer_lag{topic!="tocsin.tickets.v1"}))') == 0
    for service in SERVICES:
        letters = list(day.items(service, "/v1/dead-letters"))
        assert prometheus.value(f'sum(sla_dead_letters_total{{job="{service}"}})') == len(letters) == 0
    assert prometheus.value("sum(sla_job_failures_total)") == 0
