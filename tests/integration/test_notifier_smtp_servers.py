"""The second mail server is used while the first fails, and severity 1 never waits behind mails that hang."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from notifier.domain.smtp_reply import SmtpPhase, SmtpReply
from notifier.handlers.claims import ClaimedMail
from notifier.store.tables import DELIVERIES, JOURNAL
from notifier.workers.capacity import Attempt
from notifier.workers.circuit_breaker import CircuitState
from notifier.workers.smtp_servers import Envelope, SmtpServers
from prometheus_client import REGISTRY
from sqlalchemy import func, select, text
from support.metrics import counter_value
from support.notifier_events import NOON, escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from tocsin.events import Notify, Withdraw

NOW = NOON + timedelta(hours=1, seconds=1)
ENVELOPE = {"sender": "tocsin@example.org", "recipient": "dana@example.com"}


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        yield made


@pytest.fixture
async def idle(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    """Another notifier that uses the same server and has nothing else to do."""
    folder = tmp_path / "idle"
    folder.mkdir()
    async with make_world(make_database("notifier"), smtp_sink, folder, NOW) as made:
        yield made


def notifies(count: int, **fields: Any) -> list[Notify]:
    return [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), **fields) for _ in range(count)]


@pytest.mark.parametrize("fault", ["refuse_connection", "busy", "refuse_login"])
async def test_the_second_server_is_used_until_the_first_has_recovered(
    world: NotifierWorld, second: SharedSink, fault: str
) -> None:
    world.settings = {**world.settings, "smtp_second": second.address, "poll_interval": 0.05}
    world.sink.fail(fault)
    async with world.notifier():
        await world.receive(*notifies(10))
        await world.quiet()
        assert len(second.messages()) == 10
        assert all(delivery.attempts == 1 for delivery in await world.deliveries())
        assert _gauge("sla_mail_relay_failing", "first") == 1
        assert counter_value("sla_mail_server_backing_off") == 0, "the second one works"
        assert _gauge("sla_mail_login_refused", "first") == (fault == "refuse_login")
        world.sink.fail("none")
        await eventually(_first_recovered, world.states)
        await world.receive(*notifies(10))
        await world.quiet()
    assert (len(world.sink.messages()), len(second.messages())) == (10, 10)
    assert _gauge("sla_mail_login_refused", "first") == 0


async def test_a_server_that_recovers_while_no_mail_is_open_is_reported(world: NotifierWorld) -> None:
    """The mail that failed was withdrawn, so no mail finds out."""
    world.sink.fail("refuse_connection")
    [failed] = notifies(1)
    async with world.notifier() as service:
        await world.receive(failed)
        await eventually(lambda: _is(world, "deferred"), world.states)
        ended = {"ticket": failed.ticket, "cycle": 1, "severity": 1, "at": NOW, "reason": "resolved"}
        await world.receive(Withdraw(event_id=uuid4(), notifications=(failed.event_id,), **ended))
        await world.quiet()
        await service.sender.probe_failed_servers()
        assert counter_value("sla_mail_server_backing_off") == 1
        world.sink.fail("none")

        async def recovered() -> bool:
            await service.sender.probe_failed_servers()
            return counter_value("sla_mail_server_backing_off") == 0

        await eventually(recovered, world.states)
    assert _gauge("sla_mail_relay_failing", "first") == 0
    assert world.mails() == []


async def test_without_a_working_server_mails_wait_and_a_gauge_says_so(world: NotifierWorld) -> None:
    world.settings = {**world.settings, "poll_interval": 0.05}
    world.sink.fail("refuse_connection")
    async with world.notifier():
        await world.receive(*notifies(1))
        await eventually(lambda: counter_value("sla_mail_server_backing_off") == 1, "no server accepts mails")
        world.sink.fail("none")
        await world.quiet()
    assert counter_value("sla_mail_server_backing_off") == 0
    assert len(world.sink.messages()) == 1


async def test_an_envelope_that_is_not_used_does_not_block_the_next_probe(world: NotifierWorld) -> None:
    servers = SmtpServers(world.make_settings(), lambda: None)
    attempt = Attempt(ClaimedMail(None, (), NOW), is_probe=True, claim_began=0)
    world.sink.fail("busy")
    assert isinstance(await servers.open_envelope(attempt, **ENVELOPE), SmtpReply)
    world.sink.fail("none")
    for _ in range(2):
        await eventually(lambda: _may_probe(servers), world.states)
        envelope = await servers.open_envelope(attempt, **ENVELOPE)
        assert isinstance(envelope, Envelope)
        await envelope.server.release(envelope.connection, SmtpReply(SmtpPhase.RECIPIENT, 250, "accepted"))
    await servers.close_idle()
    assert world.sink.messages() == []


async def test_a_recipient_refused_by_the_first_server_is_not_offered_to_the_second(
    world: NotifierWorld, second: SharedSink
) -> None:
    world.settings = {**world.settings, "smtp_second": second.address}
    world.sink.fail("refuse", code=550)
    async with world.notifier():
        await world.receive(*notifies(2))
        await world.quiet()
    assert second.messages() == []
    assert sorted(await world.states()) == ["refused", "refused", "undeliverable", "undeliverable"]


async def test_an_ambiguous_mail_is_repeated_by_the_second_server_with_the_same_message_id(
    world: NotifierWorld, second: SharedSink
) -> None:
    world.settings = {**world.settings, "smtp_second": second.address, "smtp_data_timeout": 0.5, "retry_base": 1}
    world.sink.fail("hang_after_dot")
    async with world.notifier():
        await world.receive(*notifies(1))
        await eventually(lambda: _is(world, "deferred"), world.states)
        world.sink.fail("refuse_connection")
        await world.quiet()
    world.sink.fail("none")
    [first], [repeated] = world.sink.messages(), second.messages()
    assert dict(first["headers"])["Message-ID"] == dict(repeated["headers"])["Message-ID"]
    assert (await world.journal()).count("ambiguous") == 1


async def test_a_mail_of_severity_1_does_not_wait_behind_ten_thousand_others(
    world: NotifierWorld, idle: NotifierWorld
) -> None:
    """Whether the others flow or hang, also right after a failure: some connections are reserved.

    The delay is measured against a mail that an idle notifier sends at the same moment.
    """
    world.settings = {**world.settings, "smtp_concurrency": 8, "smtp_data_timeout": 200}
    world.sink.fail("refuse_connection")
    await world.receive(*notifies(20, severity=3))
    await _multiply(world, 500)
    async with world.notifier(), idle.notifier():
        await eventually(lambda: _others(world, "deferred"), world.states)
        world.sink.fail("hang_after_dot", recipient="dana@example.com")
        await eventually(lambda: _hangs(world, 1), world.states, 20)
        await _urgent_takes(idle)  # the first mail of any notifier takes longer
        delays = [await _delay(world, idle)]
        await eventually(lambda: _hangs(world, 6), world.states, 20)  # the urgent mail closed the circuit
        delays += [await _delay(world, idle) for _ in range(2)]
        world.sink.fail("refuse", code=421, recipient="kim@example.com")
        [first] = notifies(1, role="senior_it_operations_manager")
        await world.receive(first)
        await eventually(_first_fails, world.states)
        world.sink.fail("none")
        await eventually(lambda: _is_sent(world, first), world.states, 20)
        delays += [await _delay(world, idle) for _ in range(3)]
        assert await _hangs(world, 6)
        world.sink.fail("refuse_connection")  # ends the attempts that hang
        world.sink.fail("delay", seconds=0.3, recipient="dana@example.com")
        await eventually(lambda: _flow(world), world.states)
        delays += [await _delay(world, idle) for _ in range(3)]
    world.sink.fail("none")
    assert max(delays) < 1, delays


async def test_a_mail_of_severity_1_does_not_wait_for_a_probe_of_a_slow_server(world: NotifierWorld) -> None:
    """One mail probes. If it is not of severity 1, one that is may probe beside it."""
    world.settings = {**world.settings, "smtp_timeout": 120}
    world.sink.fail("slow_banner", seconds=600)
    async with world.notifier():
        await world.receive(*notifies(1, severity=3))
        await eventually(lambda: _is(world, "claimed"), world.states)
        await world.receive(*notifies(1, severity=3))
        world.sink.fail("none")  # for new connections
        await _urgent_takes(world)
        await eventually(lambda: _is(world, "sent", 2), world.states)  # the waiting one is sent too
        assert (await world.states())[0] == "claimed"
        world.sink.fail("refuse_connection")  # ends the attempt that waits for the greeting


async def test_at_most_one_mail_of_severity_1_probes_beside_another(world: NotifierWorld) -> None:
    """A wrong password is tried twice in a pause, not once by every urgent mail."""
    world.settings = {**world.settings, "smtp_timeout": 0.3, "retry_base": 60}
    world.sink.fail("slow_banner", seconds=600)
    async with world.notifier():
        await world.receive(*notifies(1, severity=3))
        await eventually(lambda: _is(world, "claimed"), world.states)
        await world.receive(*notifies(2))
        await eventually(lambda: _is(world, "deferred", 3), world.states)
    async with world.engine.connect() as connection:
        query = select(JOURNAL.c.entry).join(DELIVERIES).where(DELIVERIES.c.severity == 1).order_by(JOURNAL.c.id)
        assert list(await connection.scalars(query)) == ["queued", "queued", *["claimed", "deferred"] * 2]


async def test_a_mail_that_goes_on_to_the_second_server_after_a_hang_needs_a_connection_again(
    world: NotifierWorld,
) -> None:
    attempt = Attempt(ClaimedMail(None, (), NOW), is_probe=True, claim_began=0)
    at_first: list[bool] = []
    at_second: list[bool] = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_second.append(attempt.is_stalled)
        writer.close()

    world.sink.fail("hang_at_ehlo")
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as second:
        address = f"127.0.0.1:{second.sockets[0].getsockname()[1]}"
        settings = world.make_settings(smtp_second=address, smtp_timeout=0.5)
        servers = SmtpServers(settings, lambda: at_first.append(attempt.is_stalled))
        assert isinstance(await servers.open_envelope(attempt, **ENVELOPE), SmtpReply)
    assert at_first[0], "others may start"
    assert at_second == [False]


async def _delay(world: NotifierWorld, idle: NotifierWorld) -> float:
    """How many seconds longer a mail of severity 1 takes than for an idle notifier."""
    there, here = await asyncio.gather(_urgent_takes(idle), _urgent_takes(world))
    return here - there


async def _urgent_takes(world: NotifierWorld) -> float:
    """Seconds until a mail of severity 1 is recorded as sent."""
    begun = time.monotonic()
    [urgent] = notifies(1, role="senior_it_operations_manager")
    await world.receive(urgent)
    await eventually(lambda: _is_sent(world, urgent), world.states)
    return time.monotonic() - begun


async def _multiply(world: NotifierWorld, times: int) -> None:
    """Copy the deliveries so many times, each copy for another ticket."""
    own = ("seq", "id", "ticket_id", "notification_id")
    columns = ", ".join(column.name for column in DELIVERIES.columns if column.name not in own)
    async with world.engine.begin() as connection:
        await connection.execute(
            text(
                "WITH more AS (SELECT gen_random_uuid() AS new_ticket, gen_random_uuid() AS new_notification, d.*"
                f" FROM deliveries d, generate_series(2, {times})),"
                " known AS (INSERT INTO tickets (ticket_id) SELECT new_ticket FROM more),"
                " stored AS (INSERT INTO notifications (id, ticket_id, type, event)"
                " SELECT new_notification, new_ticket, type, event"
                " FROM more JOIN notifications ON notifications.id = notification_id)"
                f" INSERT INTO deliveries (id, ticket_id, notification_id, {columns})"
                f" SELECT gen_random_uuid(), new_ticket, new_notification, {columns} FROM more"
            )
        )
        await connection.execute(text("ANALYZE deliveries"))
        assert await connection.scalar(select(func.count()).select_from(DELIVERIES)) == 20 * times


async def _hangs(world: NotifierWorld, count: int) -> bool:
    return await _others(world, "in_data") == count


async def _flow(world: NotifierWorld) -> bool:
    return await _others(world, "sent") > 6


async def _others(world: NotifierWorld, state: str) -> int:
    """How many mails of severity 3 are in this state."""
    async with world.engine.connect() as connection:
        query = select(func.count()).where(DELIVERIES.c.state == state, DELIVERIES.c.severity == 3)
        return int(await connection.scalar(query) or 0)


async def _is_sent(world: NotifierWorld, notify: Notify) -> bool:
    async with world.engine.connect() as connection:
        query = select(DELIVERIES.c.state).where(DELIVERIES.c.notification_id == notify.event_id)
        return await connection.scalar(query) == "sent"


async def _is(world: NotifierWorld, state: str, times: int = 1) -> bool:
    return (await world.states()).count(state) >= times


async def _may_probe(servers: SmtpServers) -> bool:
    return servers.state is CircuitState.HALF_OPEN


async def _first_recovered() -> bool:
    return _gauge("sla_mail_relay_failing", "first") == 0


async def _first_fails() -> bool:
    return _gauge("sla_mail_relay_failing", "first") == 1


def _gauge(metric: str, relay: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"relay": relay})
