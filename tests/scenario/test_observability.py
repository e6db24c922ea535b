"""A ticket can be traced through the services: by its id in their logs, and by their metrics."""

import json

import asyncpg
import httpx
from support.movable_stack import MovableStack
from support.polling import eventually
from support.scenario import Scenario
from support.servers import NO_CERTIFICATES

METRICS = {
    "intake": ('sla_tickets_ingested_total{result="', "sla_outbox_pending ", "sla_outbox_oldest_age_seconds "),
    "sla-timer": (
        'sla_clock_outcomes_total{clock="response",outcome="breached",severity="1"}',
        'sla_open_clocks{clock="resolution",severity="1",state="running"}',
        "sla_fire_lateness_seconds_count ",
        "sla_oldest_overdue_seconds ",
        'sla_progress_age_seconds{partition="5"}',
        'sla_answer_seconds_count{channel="portal"}',
        'sla_consumer_lag{partition="0",topic="tocsin.tickets.v1"}',
        'sla_dead_letters_total{topic="tocsin.tickets.v1"}',
    ),
    "escalator": ('sla_escalations_total{reason="no_response",tier="1"}', "sla_outbox_pending "),
    "notifier": ('sla_emails_total{result="sent"}', "sla_breach_to_email_seconds_count "),
}
NOT_ZERO = (
    'sla_escalations_total{reason="no_response",tier="1"}',
    'sla_emails_total{result="sent"}',
    "sla_breach_to_email_seconds_count ",
    "sla_fire_lateness_seconds_count ",
)


async def test_logs_and_metrics_show_a_ticket(scenario: Scenario, movable_stack: MovableStack) -> None:
    ticket = await scenario.open_ticket(severity=1)
    await scenario.advance_stepwise_past(scenario.after(hours=26))
    await scenario.post_event(ticket, "resolved")
    await scenario.wait_until_idle()
    for service in METRICS:
        lines = (movable_stack.stack.state.logs / f"{service}.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines if ticket.id in line]
        assert any(ticket.id in (entry.get("ticket_id"), *entry.get("ticket_ids", ())) for entry in entries), service

    urls = movable_stack.stack.run["urls"]

    async def all_shown() -> bool:
        async with httpx.AsyncClient(verify=NO_CERTIFICATES) as http:
            texts = {name: (await http.get(f"{urls[name]}/metrics")).text for name in METRICS}
        return all(shows(texts[name], metric) for name, metrics in METRICS.items() for metric in metrics)

    await eventually(all_shown, "every metric shows the ticket")


async def test_each_service_records_the_use_of_a_key(scenario: Scenario, movable_stack: MovableStack) -> None:
    ticket = await scenario.open_ticket()
    await scenario.wait_until_idle()
    await scenario.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
    await scenario.get("escalator", "/v1/escalations")
    await scenario.get("notifier", "/v1/deliveries")
    run = movable_stack.stack.run
    key_id = run["api_key"].split("_")[1]

    async def all_recorded() -> bool:
        return all([await has_key_use(run["databases"][service], key_id) for service in METRICS])

    await eventually(all_recorded, "every service has stored the key's use")


async def has_key_use(database: str, key_id: str) -> bool:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM key_uses WHERE key_id = $1", key_id))
    finally:
        await connection.close()


def shows(text: str, metric: str) -> bool:
    values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(metric)]
    return bool(values) and (metric not in NOT_ZERO or sum(values) >= 1)
