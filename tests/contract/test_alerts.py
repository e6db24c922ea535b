"""deploy/prometheus/alerts.yaml by promtool: each alert fires, stays quiet, and is not misled by a restart, a second
replica or missing data.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from tocsin_local.layout import PROMETHEUS_FOLDER

Json = dict[str, Any]


class Kind(StrEnum):
    """What a story shows. RESTART: a counter begins anew, or Prometheus was away. REPLICAS: a second process."""

    FIRES = "fires"
    QUIET = "quiet"
    RESTART = "restart"
    REPLICAS = "replicas"


RULES = yaml.safe_load((PROMETHEUS_FOLDER / "alerts.yaml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in RULES for rule in group["rules"]}
RUNBOOKS = "https://runbooks.example.org/operations.md"
FIRE_WITHOUT_DATA = {"ServiceMissing", "Watchdog"}
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt install prometheus)"
)


@dataclass(frozen=True)
class Story:
    """Series in promtool's notation, and the labels of the alerts that fire `at` that time after their start.

    Samples are `interval` apart. `alertname` and `severity` are not among the labels.
    """

    alert: str
    kind: Kind
    series: Mapping[str, str]
    fires: Sequence[Mapping[str, str]] = ()
    at: str = "10m"
    interval: str = "1m"

    def test_group(self) -> Json:
        """The story as a test group of promtool."""
        name = {"alertname": self.alert, "alertstate": "firing", "severity": ALERTS[self.alert]["labels"]["severity"]}
        return {
            "interval": self.interval,
            "external_labels": {"runbooks": RUNBOOKS},
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": [
                {
                    "expr": f'ALERTS{{alertname="{self.alert}",alertstate="firing"}}',
                    "eval_time": self.at,
                    "exp_samples": [
                        {"labels": selector("ALERTS", {**name, **labels}), "value": 1} for labels in self.fires
                    ],
                }
            ],
        }


def selector(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def gauge(alert: str, series: str, *, bad: float, good: float, **labels: str) -> list[Story]:
    """The stories of a gauge of one process that fires alone, whatever a second process says of itself."""
    with_replica = {replica(series, "a"): f"{bad}x20", replica(series, "b"): f"{bad}x20"}
    return [
        Story(alert, Kind.FIRES, {series: f"{bad}x20"}, [labels]),
        Story(alert, Kind.QUIET, {series: f"{good}x20"}),
        Story(alert, Kind.QUIET, {series: f"{bad}x5 {good}x25"}, at="20m"),
        Story(alert, Kind.REPLICAS, with_replica, [labels]),
    ]


def counter(alert: str, series: str, *, by: float, within: str, **labels: str) -> list[Story]:
    """The stories of a counter that fires when it grew `by` that much `within` that time, and ends after it."""
    minutes = {"5m": 5, "10m": 10, "15m": 15, "1h": 60}[within]
    after = f"{minutes + 11}m"
    return [
        Story(alert, Kind.FIRES, {series: f"7x7 {7 + by}x13"}, [labels]),
        Story(alert, Kind.QUIET, {series: "7x80"}, at=after),
        Story(alert, Kind.QUIET, {series: f"7x7 {7 + by}x{minutes + 20}"}, at=after),
        Story(alert, Kind.RESTART, {series: "7x7 0x13"}),
        Story(alert, Kind.RESTART, {series: f"7x7 0 {by}x12"}, [labels]),
        Story(alert, Kind.REPLICAS, {replica(series, "a"): "7x20", replica(series, "b"): f"0x7 {by}x13"}, [labels]),
    ]


def first_event(alert: str, series: str, **labels: str) -> list[Story]:
    """The stories of the first event that a series ever counts, and of an outage of Prometheus."""
    return [
        Story(alert, Kind.FIRES, {series: "_x6 0 1x13"}, [labels]),  # docs/decisions/0030
        Story(alert, Kind.RESTART, {series: "7x2 _x6 7x12"}),
    ]


def replica(series: str, instance: str) -> str:
    name, _, labels = series.partition("{")
    inside = labels.rstrip("}")
    return f'{name}{{{inside}{"," if inside else ""}instance="{instance}"}}'


def up(job: str) -> str:
    return f'up{{job="{job}",instance="{job}:1"}}'


ALL_UP = {up(job): "1x20" for job in ("intake", "sla-timer", "escalator", "notifier")}
TICKETS = 'topic="tocsin.tickets.v1"'
SIX_PARTITIONS = {
    f'sla_consumer_lag{{job="j",topic="t",partition="{partition}",instance="{instance}"}}': "0x20"
    for partition in range(6)
    for instance in "ab"
}
WATCHED = {up("intake"): "1x1040"}
INGESTED = 'sla_tickets_ingested_total{source="halopsa",severity="2",result="created"}'
LONG_OPEN = {'sla_open_ladders{tier="6",severity="1"}': "1x60"}
IGNORED = 'sla_mails_ignored_total{reason="report"}'
HALOPSA = {"tenant": "default", "provider": "halopsa"}


def averages(mean: str, target: str) -> dict[str, str]:
    return {
        'sla_channel_average_seconds{channel="chat"}': mean,
        'sla_channel_target_seconds{channel="chat"}': target,
    }


def hook(what: str) -> str:
    return selector(f"sla_hook_last_{what}_timestamp_seconds", HALOPSA)


def held_by(instance: str) -> str:
    return f'sla_partitions_held{{job="j",topic="t",instance="{instance}"}}'


STORIES = [
    # Service levels
    *counter(
        "ClockMissed",
        'sla_clock_outcomes_total{clock="resolution",severity="2",outcome="breached"}',
        by=1,
        within="5m",
        clock="resolution",
        ticket_severity="2",
    ),
    Story(
        "ClockMissed", Kind.QUIET, {'sla_clock_outcomes_total{clock="answer",severity="1",outcome="voided"}': "7+1x20"}
    ),
    *first_event(
        "ClockMissed",
        'sla_clock_outcomes_total{clock="response",severity="3",outcome="breached"}',
        clock="response",
        ticket_severity="3",
    ),
    *[
        Story(
            alert, kind, {f'sla_open_clocks{{clock="{clock}",severity="1",state="{state}"}}': values}, fires, at, "1h"
        )
        for alert, clock, state, fires in (
            ("ResolutionOverdue", "resolution", "breached", [{"ticket_severity": "1"}]),
            ("ResolutionOverdue", "resolution", "silent", [{"ticket_severity": "1"}]),
            ("ResponseOverdue", "response", "breached", [{"clock": "response", "ticket_severity": "1"}]),
            ("ResponseOverdue", "answer", "breached", [{"clock": "answer", "ticket_severity": "1"}]),
        )
        for kind, values, fires, at in (
            (Kind.FIRES, "0 1x60", fires, "1h"),
            (Kind.FIRES, "0 1x60", fires, "2d"),  # until it is closed, not for five minutes
            (Kind.QUIET, "0 1x20 0x40", [], "1d"),
            (Kind.RESTART, "1x10 NaN NaN", [], "12h"),  # the database does not answer for long: nobody knows
        )
    ],
    *[
        Story(alert, Kind.QUIET, {f'sla_open_clocks{{clock="resolution",severity="1",state="{state}"}}': "3x20"})
        for alert in ("ResolutionOverdue", "ResponseOverdue")
        for state in ("running", "paused", "warned")
    ],
    Story("ResponseOverdue", Kind.QUIET, {'sla_open_clocks{clock="resolution",severity="1",state="breached"}': "3x20"}),
    *[
        Story(alert, Kind.RESTART, {series: "1x10 NaN NaN NaN NaN NaN NaN"}, [labels], at="15m")  # a short outage
        for alert, series, labels in (
            (
                "ResolutionOverdue",
                'sla_open_clocks{clock="resolution",severity="1",state="silent"}',
                {"ticket_severity": "1"},
            ),
            ("LadderExhausted", 'sla_open_ladders{tier="exhausted",severity="1"}', {"ticket_severity": "1"}),
            ("UpperTierReached", 'sla_open_ladders{tier="5",severity="1"}', {"tier": "5", "ticket_severity": "1"}),
        )
    ],
    Story(
        "ResolutionOverdue",
        Kind.REPLICAS,
        {
            f'sla_open_clocks{{clock="resolution",severity="{severity}",state="{state}",instance="{instance}"}}': "1x20"
            for instance in "ab"
            for severity, state in ((1, "breached"), (1, "silent"), (2, "running"))
        },
        [{"ticket_severity": "1"}],
    ),
    *gauge(
        "UpperTierReached",
        'sla_open_ladders{tier="4",severity="2"}',
        bad=1,
        good=0,
        tier="4",
        ticket_severity="2",
    ),
    Story("UpperTierReached", Kind.QUIET, {'sla_open_ladders{tier="3",severity="1"}': "5x20"}),
    Story(  # a customer's own ladder may be longer than the standard one
        "UpperTierReached",
        Kind.FIRES,
        {'sla_open_ladders{tier="10",severity="1"}': "1x20"},
        [{"tier": "10", "ticket_severity": "1"}],
    ),
    Story("UpperTierReached", Kind.FIRES, LONG_OPEN, [{"tier": "6", "ticket_severity": "1"}], at="2d", interval="1h"),
    *gauge("LadderExhausted", 'sla_open_ladders{tier="exhausted",severity="2"}', bad=1, good=0, ticket_severity="2"),
    Story("LadderExhausted", Kind.QUIET, {'sla_open_ladders{tier="6",severity="1"}': "1x20"}),
    Story(
        "LadderExhausted",
        Kind.FIRES,
        {'sla_open_ladders{tier="exhausted",severity="1"}': "1x60"},
        [{"ticket_severity": "1"}],
        at="2d",
        interval="1h",
    ),
    *[
        Story("ChannelAverageHigh", kind, averages(mean, target), fires, at="30m")
        for kind, mean, target, fires in (
            (Kind.FIRES, "300x40", "300x40", [{"channel": "chat"}]),  # the average must be under the target
            (Kind.QUIET, "299x40", "300x40", []),
            (Kind.QUIET, "301x10 299x30", "300x40", []),
            (Kind.RESTART, "NaN " * 40, "300x40", []),  # a new month without a chat
            (Kind.RESTART, "301x40", "NaN " * 40, []),  # the policy states no average
        )
    ],
    Story(
        "ChannelAverageHigh",
        Kind.REPLICAS,
        {
            replica(series, instance): values
            for series, values in averages("301x40", "300x40").items()
            for instance in "ab"
        },
        [{"channel": "chat"}],
        at="30m",
    ),
    *[
        Story("TicketsStopped", kind, {INGESTED: values, **series}, fires, at="1w3h", interval="10m")
        for kind, values, series, fires in (
            # A ticket every ten minutes a week ago; none for three hours.
            (Kind.FIRES, "0+1x1000 1000x30", WATCHED, [{"source": "halopsa"}]),
            (Kind.QUIET, "0+1x1040", WATCHED, []),
            (Kind.QUIET, "0x1040", WATCHED, []),  # a source that never sends
            (Kind.QUIET, "0+1x1000 1000x30", {up("intake"): "1x1000 0x30"}, []),  # ServiceDown says more
            (Kind.RESTART, "0+1x1000 0x18 1x10", WATCHED, []),
            (Kind.RESTART, "0+1x1000 0x30", WATCHED, [{"source": "halopsa"}]),
            # Prometheus was away until half an hour ago: nobody knows.
            (Kind.RESTART, "0+1x900 _x122 5x10", {up("intake"): "1x900 _x122 1x10"}, []),
        )
    ],
    *gauge("DeadlineNotFired", "sla_oldest_overdue_seconds", bad=61, good=60),
    *gauge("WatermarkStalled", 'sla_progress_age_seconds{partition="3"}', bad=31, good=30, partition="3"),
    *gauge("IntakeSilent", 'sla_unconfirmed{partition="3"}', bad=1, good=0, partition="3"),
    # Pipeline
    Story("ServiceDown", Kind.FIRES, {up("intake"): "0x20"}, [{"job": "intake", "instance": "intake:1"}]),
    Story("ServiceDown", Kind.QUIET, ALL_UP),
    Story("ServiceDown", Kind.QUIET, {up("prometheus"): "0x20"}),
    Story("ServiceDown", Kind.RESTART, {up("intake"): "1x4 0 1x15"}, at="6m"),
    Story("ServiceMissing", Kind.FIRES, {**ALL_UP, up("notifier"): "1x4 stale"}, [{"job": "notifier"}]),
    Story("ServiceMissing", Kind.QUIET, ALL_UP),
    Story("ServiceMissing", Kind.RESTART, {**ALL_UP, up("notifier"): "1x8 stale 1x10"}),
    *gauge(
        "ConsumerBehind",
        f'sla_consumer_lag{{job="sla-timer",{TICKETS},partition="0"}}',
        bad=601,
        good=600,
        job="sla-timer",
        topic="tocsin.tickets.v1",
    ),
    *gauge(
        "ConsumerBehind",
        'sla_consumer_lag{job="notifier",topic="tocsin.escalations.v1",partition="0"}',
        bad=101,
        good=100,
        job="notifier",
        topic="tocsin.escalations.v1",
    ),
    *gauge("ConsumerPaused", 'sla_consumer_paused{job="notifier",topic="t"}', bad=1, good=0, job="notifier", topic="t"),
    *[
        Story("PartitionsUnread", kind, {**SIX_PARTITIONS, **held}, fires)
        for kind, held, fires in (
            (Kind.FIRES, {held_by("a"): "6x4 5x16"}, [{"job": "j", "topic": "t"}]),
            (Kind.QUIET, {held_by("a"): "6x20"}, []),
            (Kind.QUIET, {held_by("a"): "6x18 4x1"}, []),  # a moment between two holders
            (Kind.RESTART, {held_by("a"): "6x4 0x1 6x15"}, []),
            (Kind.REPLICAS, {held_by("a"): "6x4 3x16", held_by("b"): "0x4 3x16"}, []),
            (Kind.REPLICAS, {held_by("a"): "3x20", held_by("b"): "3x4 0x16"}, [{"job": "j", "topic": "t"}]),
        )
    ],
    *counter(
        "OffsetsOutOfRange", 'sla_offsets_out_of_range_total{job="j",topic="t"}', by=1, within="1h", job="j", topic="t"
    ),
    *first_event("OffsetsOutOfRange", 'sla_offsets_out_of_range_total{job="j",topic="t"}', job="j", topic="t"),
    *counter("DeadLetters", 'sla_dead_letters_total{job="j",topic="t"}', by=1, within="1h", job="j", topic="t"),
    *first_event("DeadLetters", 'sla_dead_letters_total{job="j",topic="t"}', job="j", topic="t"),
    *gauge("OutboxStuck", 'sla_outbox_oldest_age_seconds{job="j"}', bad=31, good=30, job="j"),
    Story("NoRelay", Kind.FIRES, {'sla_relay_leader{job="j",instance="a"}': "1x4 0x16"}, [{"job": "j"}]),
    Story("NoRelay", Kind.QUIET, {'sla_relay_leader{job="j",instance="a"}': "1x20"}),
    Story(
        "NoRelay",
        Kind.REPLICAS,
        {'sla_relay_leader{job="j",instance="a"}': "1x4 0x16", 'sla_relay_leader{job="j",instance="b"}': "0x4 1x16"},
    ),
    *[
        Story(
            "PeriodicWorkFails", kind, {'sla_job_failures_total{job="j",exported_job="sweep"}': values}, fires, at="20m"
        )
        for kind, values, fires in (
            (Kind.FIRES, "0+1x30", [{"job": "j", "exported_job": "sweep"}]),
            (Kind.QUIET, "0x3 3x30", []),
            (Kind.RESTART, "90x10 0x20", []),
        )
    ],
    *gauge("DirectoryBroken", 'sla_directory_broken{job="j"}', bad=1, good=0, job="j"),
    *gauge("IntegrationsBroken", "sla_integrations_broken", bad=1, good=0),
    *[
        Story(alert, kind, {series: values}, [labels] if kind == Kind.FIRES else (), at="20m")
        for alert, series, labels in (
            ("WebhooksUnmapped", 'sla_hook_unmapped_now{provider="jira"}', {"provider": "jira"}),
            ("WebhookSwitchedOff", 'sla_hook_deactivated_now{provider="jira"}', {"provider": "jira"}),
            ("WebhooksWaiting", "sla_hook_waiting", {}),
            ("OnCallCalendarBroken", 'sla_directory_calendars_broken{job="j"}', {"job": "j"}),
            ("OnCallEventUnknown", "sla_directory_unknown_events", {}),
            (
                "OnCallEventUnreadable",
                'sla_directory_left_out_events{rotation="desk",kind="on_call"}',
                {"rotation": "desk"},
            ),
            (
                "CalendarEventUnreadable",
                'sla_directory_left_out_events{rotation="desk",kind="other"}',
                {"rotation": "desk"},
            ),
        )
        for kind, values in ((Kind.FIRES, "1x30"), (Kind.QUIET, "0x30"), (Kind.QUIET, "1x9 0x20"))
    ],
    *counter(
        "WebhooksForged",
        'sla_hook_deliveries_total{provider="jira",result="forged"}',
        by=9,
        within="15m",
        provider="jira",
    ),
    Story("WebhooksForged", Kind.QUIET, {'sla_hook_deliveries_total{provider="jira",result="taken"}': "0+9x20"}),
    *counter("SigningKeysNotFetched", 'sla_signing_keys_total{result="failed"}', by=9, within="15m"),
    *[
        Story("Overload", kind, {'sla_requests_shed_total{job="intake"}': values}, fires, at="20m")
        for kind, values, fires in (
            (Kind.FIRES, "0+1x30", [{"job": "intake"}]),
            (Kind.QUIET, "5x30", []),
            (Kind.RESTART, "9x15 0x20", []),
        )
    ],
    *gauge("DirectoryGap", 'sla_directory_gap_seconds{role="r"}', bad=604799, good=604800, role="r")[:2],
    Story("DirectoryGap", Kind.QUIET, {'sla_directory_gap_seconds{role="r"}': "Inf " * 20}),
    Story(
        "OnCallCalendarStale",
        Kind.FIRES,
        {'sla_directory_feed_age_seconds{job="notifier",rotation="primary"}': "43201x20"},
        [{"rotation": "primary"}],
    ),
    Story(
        "OnCallCalendarStale",
        Kind.QUIET,
        {'sla_directory_feed_age_seconds{job="notifier",rotation="primary"}': "400x20"},
    ),
    *gauge("NobodyOnCall", 'sla_on_call{role="r"}', bad=0, good=1, role="r")[:2],
    Story("NobodyOnCall", Kind.RESTART, {'sla_on_call{role="r"}': "0x3 1x20"}, at="6m"),  # before the first look
    Story(
        "NobodyOnCall",
        Kind.REPLICAS,
        {'sla_on_call{role="r",instance="a"}': "1x20", 'sla_on_call{role="r",instance="b"}': "0x20"},
    ),
    # Webhooks and inbound mail; the timestamps are in seconds since the story began
    *[
        Story("WebhookDeactivated", kind, {hook("delivery"): values}, fires, at=at, interval="1h")
        for kind, values, fires, at in (
            # A delivery every hour for six days, then none.
            (Kind.FIRES, "0+3600x144 518400x100", [HALOPSA], "7d6h"),
            (Kind.QUIET, "0+3600x300", [], "8d"),
            (Kind.QUIET, "0x300", [], "9d"),  # it never sent anything
            (Kind.QUIET, "0+3600x12 43200x300", [], "9d"),  # a week ago it was silent too
            (Kind.RESTART, "0+3600x169 0 612000+3600x60", [], "170h"),  # not measured yet
        )
    ],
    *[
        Story(
            "WebhookSilent", kind, {hook("delivery"): deliveries, hook("ticket"): tickets}, fires, at=at, interval="1h"
        )
        for kind, deliveries, tickets, fires, at in (
            (Kind.FIRES, "0+3600x100", "0+3600x10 36000x90", [HALOPSA], "48h"),
            (Kind.QUIET, "0+3600x100", "0+3600x100", [], "48h"),
            (Kind.QUIET, "0+3600x10 36000x90", "0+3600x10 36000x90", [], "48h"),
            (Kind.QUIET, "0x40 147600+3600x20", "0x60", [], "50h"),  # connected ten hours ago, not mapped yet
            (Kind.RESTART, "0x100", "0x100", [], "48h"),
        )
    ],
    *[
        Story("InboundMailIgnored", kind, {IGNORED: values}, fires, at=at, interval="5m")
        for kind, values, fires, at in (
            (Kind.FIRES, "0x24 0+3x60", [{"reason": "report"}], "3h30m"),
            (Kind.QUIET, "0x60", [], "3h30m"),
            (Kind.QUIET, "0x24 0+1x60", [], "3h30m"),  # twelve in an hour
            (Kind.QUIET, "0+3x2100", [], "7d"),  # as every week
            (Kind.RESTART, "900x24 0x60", [], "3h30m"),
        )
    ],
    *first_event("KnownSenderIgnored", "sla_mails_ignored_of_known_senders_total"),
    Story("KnownSenderIgnored", Kind.QUIET, {"sla_mails_ignored_of_known_senders_total": "7x40"}),
    # Mail
    *gauge("MailServerFailing", "sla_mail_server_backing_off", bad=1, good=0),
    Story(
        "MailServerFailing",
        Kind.REPLICAS,
        {'sla_mail_server_backing_off{instance="a"}': "1x20", 'sla_mail_server_backing_off{instance="b"}': "0x20"},
    ),
    *gauge("MailLoginRefused", 'sla_mail_login_refused{relay="first"}', bad=1, good=0, relay="first"),
    *gauge("MailServerHangs", 'sla_mail_relay_hung{relay="first"}', bad=1, good=0, relay="first"),
    *[
        Story("MailRelayDown", kind, series, fires)
        for kind, series, fires in (
            (
                Kind.FIRES,
                {'sla_mail_relay_failing{relay="first"}': "1x20", "sla_mail_server_backing_off": "0x20"},
                [{"relay": "first"}],
            ),
            (Kind.QUIET, {'sla_mail_relay_failing{relay="first"}': "0x20", "sla_mail_server_backing_off": "0x20"}, []),
            # MailServerFailing says more.
            (Kind.QUIET, {'sla_mail_relay_failing{relay="first"}': "1x20", "sla_mail_server_backing_off": "1x20"}, []),
        )
    ],
    *[
        Story(alert, kind, {f'sla_mail_undelivered{{state="{state}"}}': values}, [labels] if fires else (), at=at)
        for alert, state, labels in (
            ("MailUndeliverable", "undeliverable", {}),
            ("MailAddressRefused", "bounced", {"state": "bounced"}),
        )
        for kind, values, at, fires in (
            (Kind.FIRES, "0x3 1x10 0x60", "10m", True),
            (Kind.FIRES, "0x3 1x10 0x60", "60m", True),  # the gauge forgets after ten minutes, the alert after an hour
            (Kind.QUIET, "0x3 1x10 0x70", "80m", False),
            (Kind.QUIET, "0x20", "10m", False),
        )
    ],
    *counter("MailReportUnknown", 'sla_mail_reports_total{result="unmatched"}', by=1, within="1h"),
    *counter("MailReportUnreadable", 'sla_mail_reports_total{result="unreadable"}', by=1, within="1h"),
    *[
        Story(alert, Kind.QUIET, {f'sla_mail_reports_total{{result="{result}"}}': "0+1x20"})
        for alert in ("MailReportUnknown", "MailReportUnreadable")
        for result in ("bounced", "no_bounce")
    ],
    Story("MailReportUnknown", Kind.FIRES, {'sla_mail_reports_total{result="unknown"}': "7x7 8x13"}, [{}]),
    *gauge("MailQueueOld", "sla_mail_queue_oldest_age_seconds", bad=301, good=300),
    *counter("MailTemplateFailing", "sla_mail_template_fallbacks_total", by=1, within="1h"),
    # The board
    *[
        Story("BoardDown", kind, {up("board"): values}, fires, at="20m")
        for kind, values, fires in (
            (Kind.FIRES, "0x30", [{"job": "board", "instance": "board:1"}]),
            (Kind.QUIET, "1x30", []),
            (Kind.QUIET, "1x10 0x3 1x20", []),  # a restart
        )
    ],
    *gauge("BoardStale", "sla_board_stale_seconds", bad=301, good=300),
    *[
        Story(alert, kind, {series: values}, [labels] if kind == Kind.FIRES else (), at="20m")
        for alert, series, labels in (
            ("BoardWithoutKey", "sla_board_tickets_without_key", {}),
            ("OutgoingWebhookFailing", 'sla_webhook_endpoint_failing{endpoint="chat"}', {"endpoint": "chat"}),
        )
        for kind, values in ((Kind.FIRES, "1x30"), (Kind.QUIET, "0x30"), (Kind.QUIET, "1x9 0x20"))
    ],
    *gauge("OutgoingWebhooksBroken", "sla_webhooks_broken", bad=1, good=0),
    *gauge("ReportOverdue", "sla_board_reports_overdue_seconds", bad=21601, good=21600),
    # Machine
    *[
        Story("DiskFilling", kind, {'sla_disk_free_ratio{job="intake"}': values}, fires, at="20m")
        for kind, values, fires in ((Kind.FIRES, "0.14x30", [{"job": "intake"}]), (Kind.QUIET, "0.15x30", []))
    ],
    *gauge("DiskAlmostFull", 'sla_disk_free_ratio{job="intake"}', bad=0.04, good=0.06, job="intake"),
    *gauge("ClockSkewed", 'sla_clock_skew_seconds{job="intake"}', bad=-2.5, good=1.9, job="intake"),
    *[
        Story("CertificateExpiring", kind, {series: values}, fires, at="90m")
        for series in ('sla_certificate_expires_timestamp_seconds{job="notifier",server="first"}',)
        for kind, values, fires in (
            (Kind.FIRES, f"{13 * 86400}x100", [{"server": "first"}]),
            (Kind.QUIET, f"{15 * 86400}x100", []),
            (Kind.QUIET, f"{13 * 86400}x80 {90 * 86400}x20", []),  # renewed
        )
    ],
    Story("Watchdog", Kind.FIRES, {}, [{}]),
]


def run_promtool(folder: Path, alert: str, groups: Sequence[Json], interval: str = "1m") -> str:
    """The complaints of promtool about test groups of one alert, evaluated so often; empty if there is none."""
    (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "g", "rules": [ALERTS[alert]]}]}))
    tests = {"rule_files": ["rules.json"], "evaluation_interval": interval, "tests": groups}
    (folder / "tests.json").write_text(json.dumps(tests))
    command = ["promtool", "test", "rules", "tests.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_and_is_not_misled(alert: str, tmp_path: Path) -> None:
    by_interval: dict[str, list[Json]] = {}
    for story in STORIES:
        if story.alert == alert:
            by_interval.setdefault(story.interval, []).append(story.test_group())
    assert "".join(run_promtool(tmp_path, alert, groups, each) for each, groups in by_interval.items()) == ""


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_missing_data_fires_only_what_watches_for_it(alert: str, tmp_path: Path) -> None:
    story = Story(alert, Kind.QUIET, {'another{job="x"}': "1x20"})
    complaints = run_promtool(tmp_path, alert, [story.test_group()])
    assert bool(complaints) == (alert in FIRE_WITHOUT_DATA)


@needs_promtool
@pytest.mark.rule("5.22")
def test_an_exhausted_ladder_is_alerted_until_its_ticket_is_closed(tmp_path: Path) -> None:
    open_for_ten_hours = {'sla_open_ladders{tier="exhausted",severity="1"}': "0x5 1x600 0x60"}
    stories = [
        Story("LadderExhausted", Kind.FIRES, open_for_ten_hours, [{"ticket_severity": "1"}], at="10h"),
        Story("LadderExhausted", Kind.QUIET, open_for_ten_hours, at="10h30m"),
    ]
    assert run_promtool(tmp_path, "LadderExhausted", [story.test_group() for story in stories]) == ""


@needs_promtool
def test_a_wrong_story_is_found(tmp_path: Path) -> None:
    wrong = Story("DeadlineNotFired", Kind.QUIET, {"sla_oldest_overdue_seconds": "99x20"})
    assert "DeadlineNotFired" in run_promtool(tmp_path, "DeadlineNotFired", [wrong.test_group()])


@needs_promtool
def test_the_texts_of_an_alert_are_rendered(tmp_path: Path) -> None:
    group = {
        "interval": "1m",
        "external_labels": {"runbooks": RUNBOOKS},
        "input_series": [{"series": 'sla_mail_queue_oldest_age_seconds{instance="a"}', "values": "400x20"}],
        "alert_rule_test": [
            {
                "alertname": "MailQueueOld",
                "eval_time": "10m",
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": "critical"},
                        "exp_annotations": ALERTS["MailQueueOld"]["annotations"]
                        | {"summary": "A mail has waited for 6m 40s", "runbook_url": f"{RUNBOOKS}#mailqueueold"},
                    }
                ],
            }
        ],
    }
    assert run_promtool(tmp_path, "MailQueueOld", [group]) == ""


@needs_promtool
@pytest.mark.parametrize(("command", "file"), [("rules", "alerts.yaml"), ("config", "prometheus.yaml")])
def test_promtool_accepts_the_shipped_files(command: str, file: str) -> None:
    done = subprocess.run(
        ["promtool", "check", command, PROMETHEUS_FOLDER / file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_story_of_each_kind_that_can_mislead_it(alert: str) -> None:
    told = {story.kind for story in STORIES if story.alert == alert}
    needed = {Kind.FIRES, Kind.QUIET} if alert != "Watchdog" else {Kind.FIRES}
    if "increase(" in ALERTS[alert]["expr"]:
        needed.add(Kind.RESTART)
    assert needed <= told
    assert {story.alert for story in STORIES} <= set(ALERTS)
