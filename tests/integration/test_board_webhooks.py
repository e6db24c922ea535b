"""Outgoing webhooks: which events make them, and how they are sent, on a real database and real HTTP servers."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from board.handlers.rebuild import rebuild
from board.handlers.webhook_deliveries import forget, measure
from board.sources.webhook_request import WebhookClient
from board.store.tables import WEBHOOK_ENDPOINTS, WEBHOOKS
from board.store.webhook_floors import keep_offsets
from sqlalchemy import func, select, update
from standardwebhooks import WebhookVerificationError
from support.deadline_events import HOUR, START, DeadlineEventFactory, ticket
from support.metrics import counter_value
from support.notifier_events import TIERS, escalation, exhausted
from support.polling import eventually
from support.search_budget import tries
from support.servers import MakeDatabase
from support.webhook_process import sender_process
from support.webhook_receiver import WebhookReceiver, WebhookResponse, receive_webhooks, trusted_authority
from support.webhook_world import SECRET, WebhookWorld, endpoint, verified, webhook_world
from tocsin.events import Fact, FactType, TicketChanged, TicketImported, TicketOpened
from tocsin.runtime.kafka.client import DEADLINES_TOPIC

StartReceiver = Callable[[], WebhookReceiver]
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[WebhookWorld]:
    async with webhook_world(make_database("board"), tmp_path) as made:
        yield made


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made, file = trusted_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return made


@pytest.fixture
def start_receiver(authority: trustme.CA) -> Iterator[StartReceiver]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(receive_webhooks(authority))


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> WebhookReceiver:
    return start_receiver()


def opened(external_id: str = "SR-1042", **fields: Any) -> TicketOpened:
    about = ticket(external_id, **fields)
    fact = Fact(
        number=1, event_id="1", type=FactType.OPENED, occurred_at=about.opened_at, received_at=START, severity=2
    )
    return TicketOpened(ticket=about, fact=fact)


def acknowledged(of: TicketOpened, number: int = 2) -> TicketChanged:
    fact = Fact(
        number=number,
        event_id=str(number),
        type=FactType.ACKNOWLEDGED,
        occurred_at=START,
        received_at=START,
        actor="Dana Whitfield",
    )
    return TicketChanged(tenant=of.ticket.tenant, ticket_id=of.ticket_id, fact=fact)


async def test_every_event_is_sent_signed_and_with_its_deadline(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    await world.configure(endpoint(receiver))
    make, about = DeadlineEventFactory(), ticket()
    breached = make.breached("resolution")
    await world.arrive(opened(), acknowledged(opened()))
    await world.arrive(make.warned("resolution"), breached, make.step_voided(2), make.ended(3))
    await world.arrive(make.voided(breached))
    await world.arrive(escalation(about, at=START, due_at=START), exhausted(about, at=START + 6 * HOUR))
    async with world.sending():
        await world.settled(*["delivered"] * 8)
    bodies = {body["data"]["event_id"]: body for body in map(verified, receiver.received)}
    assert Counter(body["type"] for body in bodies.values()) == Counter(
        ["sla.acknowledged", "sla.warned", "sla.breached", "sla.ended", "sla.tier", "sla.exhausted"]
    ) + Counter({"sla.voided": 2})
    body = bodies[str(breached.event_id)]
    assert body["timestamp"] == "2026-06-09T13:00:00.000000Z"
    assert body["data"] == {
        "headline": "Resolution deadline missed",
        "event": "breached",
        "event_id": str(breached.event_id),
        "example": False,
        "tenant": "default",
        "ticket": {
            "id": str(about.ticket_id),
            "source": "connectwise",
            "external_id": "SR-1042",
            "summary": "Mail is down",
            "customer": {"id": "acme", "name": "Acme"},
            "category": "incident",
            "assignee": None,
            "opened_at": "2026-06-08T12:00:00.000000Z",
            "url": None,
            "board_url": f"https://board.example.com/tickets/{about.ticket_id}",
        },
        "severity": 1,
        "cycle": 1,
        "run": None,
        "clock": "resolution",
        "target": "1 hour",
        "started_at": None,
        "due_at": "2026-06-09T13:00:00.000000Z",
        "tier": None,
        "step": None,
        "next": None,
        "reason": None,
        "acknowledged_by": None,
        "voids": None,
        "unconfirmed": False,
    }
    [tier] = [each["data"] for each in bodies.values() if each["type"] == "sla.tier"]
    assert tier["tier"] == {"number": 1, "role": "service_desk_team_lead", "title": "Service Desk Team Lead"}
    assert tier["next"]["tier"]["number"] == TIERS[2].number
    [known] = [each["data"] for each in bodies.values() if each["type"] == "sla.acknowledged"]
    assert (known["acknowledged_by"], known["severity"], known["ticket"]["external_id"]) == (
        "Dana Whitfield",
        2,
        "SR-1042",
    )
    [voided] = [each["data"]["voids"] for each in bodies.values() if each["data"]["clock"] and each["data"]["voids"]]
    assert voided == {"event": "breached", "event_id": str(breached.event_id)}


async def test_historic_old_and_repeated_events_send_nothing(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    await world.configure(endpoint(receiver))
    make = DeadlineEventFactory()
    await world.arrive(make.breached("resolution", historic=True), make.warned("answer", hours=-40))
    imported = TicketImported(
        ticket=ticket("SR-2"), facts=(opened().fact, acknowledged(opened()).fact), received_at=START, history=True
    )
    await world.arrive(imported)
    assert await world.webhooks() == []
    breached = make.breached("answer")
    await world.arrive(breached)
    await world.arrive(breached)
    assert len(await world.webhooks()) == 1


async def test_a_new_endpoint_gets_the_events_from_then_on(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    make = DeadlineEventFactory()
    await world.configure()
    known = make.breached("answer", hours=-3)
    await world.arrive(known)
    await world.configure(endpoint(receiver))
    await world.arrive(known)
    async with world.service.runtime.side_writer.begin() as connection:
        await connection.execute(update(WEBHOOK_ENDPOINTS).values(since=START - 2 * HOUR))
    await world.arrive(make.warned("response", hours=-3), make.breached("response"))
    assert [row.event for row in await world.webhooks()] == ["breached"]


async def test_a_rebuild_sends_nothing_again(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    make = DeadlineEventFactory()
    await world.configure(endpoint(receiver, events=["breached"]))
    before = [make.warned("resolution"), make.breached("resolution")]
    await world.arrive(*before)
    async with world.service.runtime.writer.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO offsets (topic, partition, next_offset) VALUES ($1, 0, 2)", (DEADLINES_TOPIC,)
        )
        await rebuild(connection, {DEADLINES_TOPIC: {0: 0}})
    await world.configure(endpoint(receiver))  # which wants the warning as well, but came later
    await world.arrive(*before, repeated=0)
    assert [row.event for row in await world.webhooks()] == ["breached"]
    await world.arrive(make.breached("answer"))
    assert [row.event for row in await world.webhooks()] == ["breached", "breached"]


async def test_a_rebuild_locks_the_offsets_in_order(world: WebhookWorld) -> None:
    """Whoever holds the first partition can lock the second while `rebuild` waits: the rows are stored in reverse."""
    writer = world.service.runtime.writer
    one = "SELECT 1 FROM offsets WHERE partition = $1 FOR UPDATE"
    async with writer.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO offsets (topic, partition, next_offset) VALUES ($1, 1, 2), ($1, 0, 2)", (DEADLINES_TOPIC,)
        )

    async def keep() -> None:
        async with writer.begin() as connection:
            await keep_offsets(connection)

    async def is_waiting() -> bool:
        async with world.service.runtime.reader.connect() as connection:
            query = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
            return bool((await connection.exec_driver_sql(query)).scalar_one())

    async with writer.begin() as holder:
        await holder.exec_driver_sql(one, (0,))
        kept = asyncio.create_task(keep())
        await eventually(is_waiting)
        await holder.exec_driver_sql(one, (1,))
    await kept


async def test_an_end_or_a_correction_is_sent_late_if_what_it_ends_was_sent(
    world: WebhookWorld, receiver: WebhookReceiver
) -> None:
    await world.configure(endpoint(receiver), endpoint(receiver, "ends", events=["ended", "voided"]))
    async with world.service.runtime.side_writer.begin() as connection:
        await connection.execute(update(WEBHOOK_ENDPOINTS).values(since=START - 100 * HOUR))
    make, other = DeadlineEventFactory(), DeadlineEventFactory(ticket("SR-2"))
    breached = make.breached("resolution")
    await world.arrive(breached)
    await world.arrive(make.ended(-40), make.voided(breached, -40), make.warned("answer", -40), other.ended(-40))
    found = [(row.endpoint, row.event, row.ticket_id) for row in await world.webhooks()]
    assert found == [("psa", event, make.ticket.ticket_id) for event in ("breached", "ended", "voided")]


async def test_a_correction_goes_to_the_endpoints_that_got_what_it_corrects(
    world: WebhookWorld, receiver: WebhookReceiver
) -> None:
    make = DeadlineEventFactory()
    warned, breached, later = make.warned("resolution"), make.breached("resolution"), make.breached("answer")
    before = endpoint(receiver)
    await world.configure(before)
    await world.arrive(warned, breached)
    await world.configure(
        before, endpoint(receiver, "added"), endpoint(receiver, "breaches", events=["breached", "voided"])
    )
    await world.arrive(later, make.voided(later), make.voided(warned), make.voided(breached))
    assert Counter((row.endpoint, row.event) for row in await world.webhooks()) == {
        ("psa", "warned"): 1,
        ("psa", "breached"): 2,
        ("psa", "voided"): 3,
        ("added", "breached"): 1,
        ("added", "voided"): 1,
        ("breaches", "breached"): 1,
        ("breaches", "voided"): 1,
    }


async def test_filters_and_tenants_select_the_events_of_an_endpoint(world: WebhookWorld) -> None:
    where = "https://hooks.example.com/x"
    await world.configure(
        endpoint(where, "all"),
        endpoint(where, "of-globex", filters={"customers": ["globex"]}),
        endpoint(where, "urgent", filters={"severities": [1], "sources": ["connectwise"], "categories": ["incident"]}),
        endpoint(where, "security", filters={"categories": ["security"]}),
        endpoint(where, "tiers", events=["tier"]),
        endpoint(where, "of-another-tenant", tenant="other"),
    )
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    assert {row.endpoint for row in await world.webhooks()} == {"all", "urgent"}
    await world.arrive(DeadlineEventFactory(ticket("SR-2", customer="globex")).breached("resolution", severity=3))
    assert Counter(row.endpoint for row in await world.webhooks()) == {"all": 2, "urgent": 1, "of-globex": 1}
    await world.arrive(DeadlineEventFactory(ticket("SR-3", tenant="other")).breached("resolution"))
    rows = await world.webhooks()
    assert [(row.endpoint, row.tenant) for row in rows[4:]] == [("of-another-tenant", "other")]


async def test_a_rotated_secret_signs_beside_the_old_one(
    world: WebhookWorld, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{OTHER_SECRET}\n")
    monkeypatch.setenv("TOCSIN_WEBHOOK_NEW_FILE", str(file))
    secrets = [{"secret_env": "TOCSIN_WEBHOOK_NEW"}, {"secret_env": "TOCSIN_WEBHOOK_OF_TESTS"}]
    await world.configure(endpoint(receiver, secrets=secrets))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    async with world.sending():
        await world.settled("delivered")
    [webhook] = receiver.received
    assert verified(webhook, OTHER_SECRET) == verified(webhook, SECRET)
    with pytest.raises(WebhookVerificationError):
        verified(webhook, "whsec_" + base64.b64encode(bytes(32)).decode())


@pytest.mark.parametrize(
    "response",
    [
        WebhookResponse(500, b"out of order" * 1000),
        WebhookResponse(301, headers={"Location": "https://localhost:1/elsewhere"}),
        WebhookResponse(404),
        WebhookResponse(hangs=True),
    ],
    ids=["500", "redirect", "404", "hangs"],
)
async def test_a_failed_attempt_is_repeated_with_the_same_id_and_body(
    response: WebhookResponse, world: WebhookWorld, receiver: WebhookReceiver
) -> None:
    receiver.responses = [response]
    await world.configure(endpoint(receiver))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    async with world.sending(seconds=1):
        [row] = await world.settled("delivered")
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body) == (str(row.delivery_id), row.body.encode())
    assert second.path == "/hook"
    assert verified(second) == verified(first)
    failed, delivered = await world.attempts()
    assert (delivered.number, delivered.status, delivered.problem) == (2, 204, None)
    if response.hangs:
        assert (failed.status, failed.problem) == (None, "does not respond within 1 seconds")
    else:
        assert (failed.status, failed.problem) == (response.status, None)
        assert len(failed.response) == min(len(response.body), 1000)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(status: int, world: WebhookWorld, receiver: WebhookReceiver) -> None:
    receiver.response = WebhookResponse(status, headers={"Retry-After": "7200"})
    await world.configure(endpoint(receiver))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    async with world.sending():
        await eventually(lambda: receiver.received)
        [row] = await eventually(lambda: _with_failures(world))
        assert row.state == "waiting"
        assert row.ready_at - row.queued_at >= timedelta(hours=2)
        # The whole endpoint is left alone.
        await world.arrive(DeadlineEventFactory().breached("answer"))
        async with world.service.runtime.reader.connect() as connection:
            paused = (await connection.execute(select(WEBHOOK_ENDPOINTS.c.paused_until - func.now()))).scalar_one()
        assert paused > timedelta(hours=1)
    assert len(receiver.received) == 1


async def test_a_new_url_is_tried_at_once(
    world: WebhookWorld, receiver: WebhookReceiver, start_receiver: StartReceiver
) -> None:
    """The pause after a failure is of the URL that failed."""
    receiver.response = WebhookResponse(503, headers={"Retry-After": "7200"})
    await world.configure(endpoint(receiver))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    async with world.sending():
        await eventually(lambda: _with_failures(world))
        await world.configure(endpoint(start_receiver()))
        await world.arrive(DeadlineEventFactory().breached("answer"))
        await world.settled("waiting", "delivered")


async def _with_failures(world: WebhookWorld) -> Any:
    return [row for row in await world.webhooks() if row.failures]


async def test_an_endpoint_that_is_gone_gets_nothing_until_it_is_asked_again(
    world: WebhookWorld, receiver: WebhookReceiver, start_receiver: StartReceiver
) -> None:
    receiver.responses = [WebhookResponse(410)]
    await world.configure(endpoint(receiver))
    make = DeadlineEventFactory()
    await world.arrive(make.breached("resolution"))
    async with world.sending() as sender:
        [gone] = await world.settled("failed")
        await measure(world.service.runtime.reader, world.service.webhooks.file)
        assert counter_value("sla_webhook_endpoint_failing", endpoint="psa") == 1
        await world.arrive(make.breached("answer"))
        async with world.client(world.admin_key) as client:
            response = await client.post(f"/v1/webhook-deliveries/{gone.delivery_id}/redeliver")
            assert response.status_code == 202, response.text
        sender.wake()
        await world.settled("delivered", "delivered")
    assert Counter(receiver.ids)[str(gone.delivery_id)] == 2
    receiver.responses = [WebhookResponse(410)]
    moved = start_receiver()
    await world.arrive(make.breached("response"))
    async with world.sending():
        await world.settled("delivered", "delivered", "failed")
        await world.arrive(make.ended(3))
        await world.configure(endpoint(moved))
        await world.settled("delivered", "delivered", "failed", "delivered")
    assert len(moved.received) == 1


async def test_a_private_address_is_refused(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    await world.configure(endpoint(receiver))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    [row] = await world.webhooks()
    loaded = world.service.webhooks.file.current().webhooks.find("default", "psa")
    assert loaded is not None
    outcome = await WebhookClient(()).send(loaded, row.delivery_id, row.body)
    assert outcome.status is None
    assert "is not a public address" in (outcome.problem or "")
    assert "TOCSIN_WEBHOOK_NETWORKS=" in (outcome.problem or "")
    assert receiver.received == []


async def test_plain_http_is_for_allowed_networks_only(world: WebhookWorld) -> None:
    with receive_webhooks() as receiver:
        await world.configure(endpoint(receiver), endpoint("http://1.1.1.1/hook", "public"))
        await world.arrive(DeadlineEventFactory().breached("resolution"))
        async with world.sending():
            await eventually(lambda: receiver.received)
            [refused] = await eventually(lambda: _with_failures(world))
    assert refused.endpoint == "public"
    assert "http:// may not be used" in refused.problem


async def test_a_hanging_endpoint_does_not_delay_another_one(
    world: WebhookWorld, receiver: WebhookReceiver, start_receiver: StartReceiver
) -> None:
    hanging = start_receiver()
    hanging.response = WebhookResponse(hangs=True)
    await world.configure(endpoint(hanging, "hanging"), endpoint(receiver))
    count = tries(100)
    events = [DeadlineEventFactory(ticket(f"SR-{number}")).breached("resolution") for number in range(count)]
    async with world.sending(seconds=3):
        for begin in range(0, count, 50):
            await world.arrive(*events[begin : begin + 50])
        await eventually(lambda: len(receiver.received) >= count, lambda: len(receiver.received), 240)
    assert len(set(receiver.ids)) == len(receiver.ids) == count
    assert len(hanging.received) < count / 4
    waiting = [row for row in await world.webhooks() if row.endpoint == "hanging"]
    assert {row.state for row in waiting} == {"waiting"}
    await measure(world.service.runtime.reader, world.service.webhooks.file)
    assert counter_value("sla_webhook_pending") == count
    assert counter_value("sla_webhook_oldest_age_seconds") > 0
    assert counter_value("sla_webhook_endpoint_failing", endpoint="hanging") == 1
    assert counter_value("sla_webhook_endpoint_failing", endpoint="psa") == 0


async def test_first_attempts_of_a_ticket_keep_their_order(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    await world.configure(endpoint(receiver))
    tickets = [DeadlineEventFactory(ticket(f"SR-{number}")) for number in range(10)]
    for step in range(1, 6):
        await world.arrive(*(make.step_voided(step) for make in tickets))
    async with world.sending(), world.sending():
        await world.settled(*["delivered"] * 50)
    assert len(receiver.received) == 50, "two processes never send the same webhook"
    steps: dict[str, list[int]] = {}
    for body in map(verified, receiver.received):
        steps.setdefault(body["data"]["ticket"]["id"], []).append(body["data"]["step"])
    assert set(map(tuple, steps.values())) == {(1, 2, 3, 4, 5)}


async def test_a_process_killed_before_it_stored_the_result_repeats_with_the_same_id(
    world: WebhookWorld, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    receiver.responses = [WebhookResponse(hangs=True)]
    await world.configure(endpoint(receiver))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    url = world.service.runtime.settings.database_url
    with sender_process(url, tmp_path, lease=3) as process:
        await eventually(lambda: receiver.received)
        process.kill()
        process.wait()
    receiver.released.set()
    assert [row.state for row in await world.webhooks()] == ["waiting"]
    async with world.sending():
        await world.settled("delivered")
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    interrupted, delivered = await world.attempts()
    assert (interrupted.number, interrupted.ended_at, interrupted.status) == (1, None, None)
    assert (delivered.number, delivered.status) == (2, 204)


async def test_an_edited_file_counts_at_once_and_an_invalid_one_is_reported(
    world: WebhookWorld, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    template = tmp_path / "mine.json.j2"
    template.write_text('{"due": {{ event.data.due_at | tojson }}}')
    await world.configure(endpoint(receiver, template="mine.json.j2"))
    make = DeadlineEventFactory()
    await world.arrive(make.breached("resolution"))
    valid = world.file.read_text()
    world.file.write_text(valid.replace("breached", "breeched"))
    await world.arrive(make.breached("answer"))
    note = await world.service.webhooks.file.note()
    assert note is not None
    assert note.startswith("webhooks.yaml:")
    assert counter_value("sla_webhooks_broken") == 1
    world.file.write_text(valid)
    assert await world.service.webhooks.file.note() is None
    template.write_text('{"deadline": {{ event.data.due_at | tojson }}}')
    await world.arrive(make.breached("response"))
    template.write_text('{"deadline": {{ event.data.no_such | tojson }}}')
    assert "mine.json.j2" in str(world.service.webhooks.file.current() and world.service.webhooks.file.problem)
    await world.arrive(make.ended(2))
    due = '"2026-06-09T13:00:00.000000Z"'
    assert [row.body for row in await world.webhooks()] == [
        f'{{"due":{due}}}',
        f'{{"due":{due}}}',
        f'{{"deadline":{due}}}',
        '{"deadline":null}',
    ]


async def test_the_api_lists_webhooks_and_sends_one_again(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    receiver.response = WebhookResponse(200, b"thanks")
    await world.configure(endpoint(receiver), endpoint("https://hooks.example.com/x", "later", events=["ended"]))
    make = DeadlineEventFactory()
    await world.arrive(make.breached("resolution"), make.ended(2))
    async with world.sending() as sender, world.client(world.admin_key) as client:
        await eventually(lambda: len(receiver.received) == 2)
        listed = (await client.get("/v1/webhook-deliveries", params={"endpoint": "psa", "limit": 1})).json()
        [item] = listed["items"]
        assert (item["event"], item["endpoint"], item["ticket_id"]) == ("breached", "psa", str(ticket().ticket_id))
        more = (await client.get("/v1/webhook-deliveries", params={"cursor": listed["next_cursor"]})).json()
        assert [(each["event"], each["endpoint"]) for each in more["items"]] == [("ended", "psa"), ("ended", "later")]
        assert more["next_cursor"] is None
        path = f"/v1/webhook-deliveries/{item['id']}"

        async def delivered() -> dict[str, Any] | None:
            found: dict[str, Any] = (await client.get(path)).json()
            return found if found["state"] == "delivered" else None

        detail = await eventually(delivered)
        assert detail["body"].encode() == receiver.received[0].body
        assert [(each["number"], each["status"], each["response"]) for each in detail["journal"]] == [
            (1, 200, "thanks")
        ]
        assert (await client.post(f"{path}/redeliver")).status_code == 202
        sender.wake()
        again = await eventually(delivered)
        await eventually(lambda: len(receiver.received) == 3)
        assert receiver.ids[2] == item["id"]
        assert again["attempts"] == 2 or (await eventually(delivered))["attempts"] == 2
        [waiting] = (await client.get("/v1/webhook-deliveries", params={"state": "waiting"})).json()["items"]
        refused = await client.post(f"/v1/webhook-deliveries/{waiting['id']}/redeliver")
        assert refused.status_code == 409
        assert (await client.get("/v1/webhook-deliveries/no-id")).status_code == 404
    async with world.client(world.reader_key) as stranger:
        assert (await stranger.get("/v1/webhook-deliveries")).json()["items"] == []
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.post(f"{path}/redeliver")).status_code == 403


async def test_webhooks_fail_after_a_day_and_are_forgotten_after_the_retention(
    world: WebhookWorld, receiver: WebhookReceiver
) -> None:
    receiver.response = WebhookResponse(500)
    await world.configure(endpoint(receiver), endpoint("https://hooks.example.com/x", "removed"))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    await world.configure(endpoint(receiver))
    long_ago = func.clock_timestamp() - timedelta(hours=2)
    writer = world.service.runtime.side_writer
    async with writer.begin() as connection:
        await connection.execute(update(WEBHOOKS).values(give_up_at=long_ago))
    async with world.sending():
        await world.settled("failed", "waiting")
    await forget(writer, timedelta(days=30))
    sent, removed = await world.settled("failed", "failed")
    assert (sent.status, sent.attempts, removed.attempts) == (500, 1, 0)
    assert "not in webhooks.yaml" in removed.problem
    async with writer.begin() as connection:
        await connection.execute(update(WEBHOOKS).values(finished_at=func.now() - timedelta(days=31)))
    await forget(writer, timedelta(days=30))
    assert await world.webhooks() == []
    assert await world.attempts() == []


async def test_attempts_are_counted_by_result(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    def counts() -> list[float]:
        results = ("delivered", "retried", "failed")
        name = "sla_webhook_deliveries_total"
        return [counter_value(name, endpoint="counted", result=result) for result in results]

    before = counts()
    receiver.responses = [WebhookResponse(500)]
    await world.configure(endpoint(receiver, "counted"))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    async with world.sending():
        await world.settled("delivered")
        receiver.response = WebhookResponse(410)
        await world.arrive(DeadlineEventFactory().ended(2))
        await world.settled("delivered", "failed")
    await eventually(lambda: [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 1], counts)


async def test_a_missing_secret_is_reported_and_nothing_is_sent(world: WebhookWorld, receiver: WebhookReceiver) -> None:
    await world.configure(endpoint(receiver, secrets=[{"secret_env": "TOCSIN_WEBHOOK_NOT_SET"}]))
    await world.arrive(DeadlineEventFactory().breached("resolution"))
    async with world.sending():
        [row] = await eventually(lambda: _with_failures(world))
    assert row.problem == "TOCSIN_WEBHOOK_NOT_SET with the secret is not set"
    assert receiver.received == []
