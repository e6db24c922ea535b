"""A ticket can be followed through all four services: in their logs by its id, in their metrics by numbers."""

import json

import asyncpg
import httpx
from support.movable_stack import Clockwork
from support.polling import eventually
from support.story_world import World

SEEN = {
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
COUNTED = (
    'sla_escalations_total{reason="no_response",tier="1"}',
    'sla_emails_total{result="sent"}',
    "sla_breach_to_email_seconds_count ",
    "sla_fire_lateness_seconds_count ",
)


async def test_a_ticket_is_followed_by_logs_and_metrics(world: World, clockwork: Clockwork) -> None:
    ticket = await world.opens(severity=1)
    await world.climbs_to(world.after(hours=26))
    await world.happens(ticket, "resolved")
    await world.settles()
    for service in SEEN:
        lines = (clockwork.stack.state.logs / f"{service}.log").read_text().splitlines()
        about = [json.loads(line) for line in lines if ticket.id in line]
        assert any(line.get("ticket_id") == ticket.id for line in about), service

    urls = clockwork.stack.run["urls"]

    async def seen() -> bool:
        async with httpx.AsyncClient() as http:
            texts = {name: (await http.get(f"{urls[name]}/metrics")).text for name in SEEN}
        return all(_shows(texts[name], metric) for name, metrics in SEEN.items() for metric in metrics)

    await eventually(seen, "every metric shows the ticket")


async def test_each_service_writes_down_when_a_key_was_used(world: World, clockwork: Clockwork) -> None:
    ticket = await world.opens()
    await world.settles()
    await world.asks("sla-timer", f"/v1/tickets/{ticket.id}/clocks")
    await world.asks("escalator", "/v1/escalations")
    await world.asks("notifier", "/v1/deliveries")
    run = clockwork.stack.run
    key_id = run["api_key"].split("_")[1]

    async def written_down() -> bool:
        return all([await _knows(run["databases"][service], key_id) for service in SEEN])

    await eventually(written_down)


async def _knows(database: str, key_id: str) -> bool:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM key_uses WHERE key_id = $1", key_id))
    finally:
        await connection.close()


def _shows(text: str, metric: str) -> bool:
    values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(metric)]
    return bool(values) and (metric not in COUNTED or sum(values) >= 1)
