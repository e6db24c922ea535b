"""A second mail server helps out while the first cannot be reached; severity 1 never waits behind what hangs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from notifier.domain.smtp_result import Answer, Phase
from notifier.store.tables import deliveries, journal
from notifier.workers.smtp_servers import Opened, Relays
from prometheus_client import REGISTRY
from sqlalchemy import func, select, text
from support.notifier_events import NOON, escalation, ticket
from support.notifier_world import World, world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink, running
from tocsin.events import Notify
from tocsin_local.loopback import free_port
from tocsin_local.smtp import SmtpSink

NOW = NOON + timedelta(hours=1, seconds=1)


@pytest.fixture(scope="module")
def other_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedSink]:
    folder = tmp_path_factory.mktemp("second")
    part = SmtpSink(folder / "smtp", free_port(), free_port())
    with running(part, folder):
        yield SharedSink(part.address, part.inbox)


@pytest.fixture
def second(other_sink: SharedSink) -> SharedSink:
    other_sink.fail("none")
    other_sink.clear()
    return other_sink


@pytest.fixture
async def house(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    async with world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        yield made


@pytest.fixture
async def idle(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    """Another notifier, whose mails go to the same server."""
    folder = tmp_path / "idle"
    folder.mkdir()
    async with world(make_database("notifier"), smtp_sink, folder, NOW) as made:
        yield made


def some(count: int, **fields: Any) -> list[Notify]:
    return [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), **fields) for _ in range(count)]


@pytest.mark.parametrize("fault", ["refuse_connection", "busy", "refuse_login"])
async def test_the_second_server_helps_out_and_the_first_comes_back_by_itself(
    house: World, second: SharedSink, fault: str
) -> None:
    house.settings = {**house.settings, "smtp_second": second.address, "poll_interval": 0.05}
    house.sink.fail(fault)
    async with house.notifier():
        await house.take(*some(10))
        await house.quiet()
        assert len(second.messages()) == 10
        assert all(delivery.attempts == 1 for delivery in await house.deliveries())
        assert _shown("sla_mail_relay_failing", "first") == 1
        assert _shown("sla_mail_login_refused", "first") == (fault == "refuse_login")
        house.sink.fail("none")
        await eventually(_first_is_back, house.states)
        await house.take(*some(10))
        await house.quiet()
    assert (len(house.sink.messages()), len(second.messages())) == (10, 10)
    assert _shown("sla_mail_login_refused", "first") == 0


async def test_an_attempt_that_is_called_off_leaves_the_server_to_the_next(house: World) -> None:
    relays = Relays(house.make_settings())
    house.sink.fail("busy")
    assert isinstance(await relays.envelope("dana@example.com"), Answer)
    house.sink.fail("none")
    for _ in range(2):
        await eventually(lambda: _may_ask(relays), house.states)
        opened = await relays.envelope("dana@example.com")
        assert isinstance(opened, Opened)
        await relays.leave(opened, Answer(Phase.RECIPIENT, 250, "accepted"))  # before DATA: nothing was said of it
    await relays.close_idle()
    assert house.sink.messages() == []


async def test_a_recipient_whom_the_first_refuses_is_not_tried_at_the_second(house: World, second: SharedSink) -> None:
    house.settings = {**house.settings, "smtp_second": second.address}
    house.sink.fail("refuse", code=550)
    async with house.notifier():
        await house.take(*some(2))
        await house.quiet()
    assert second.messages() == []
    assert sorted(await house.states()) == ["refused", "refused", "undeliverable", "undeliverable"]


async def test_an_ambiguous_mail_is_repeated_by_the_second_with_the_same_message_id(
    house: World, second: SharedSink
) -> None:
    house.settings = {**house.settings, "smtp_second": second.address, "smtp_data_timeout": 0.5, "retry_base": 1}
    house.sink.fail("hang_after_dot")
    async with house.notifier():
        await house.take(*some(1))
        await eventually(lambda: _is(house, "deferred"), house.states)
        house.sink.fail("refuse_connection")
        await house.quiet()
    house.sink.fail("none")
    [first], [repeated] = house.sink.messages(), second.messages()
    assert dict(first["headers"])["Message-ID"] == dict(repeated["headers"])["Message-ID"]
    assert (await house.journal()).count("ambiguous") == 1


async def test_a_mail_of_severity_1_does_not_wait_behind_ten_thousand_others(house: World, idle: World) -> None:
    """Whether they flow or a server hangs on all of them, be it right after it failed: some connections are kept.

    What they delay is told by a like mail of the same moment, of a notifier that has nothing else to do.
    """
    house.settings = {**house.settings, "smtp_concurrency": 8, "smtp_data_timeout": 200}
    house.sink.fail("refuse_connection")
    await house.take(*some(20, severity=3))
    await _multiply(house, 500)
    async with house.notifier(), idle.notifier():
        await eventually(lambda: _others(house, "deferred"), house.states)
        house.sink.fail("hang_after_dot", recipient="dana@example.com")
        await eventually(lambda: _hangs(house, 1), house.states, 20)
        await _urgent_takes(idle)  # a first mail takes longer, wherever it is
        delays = [await _delay(house, idle)]
        await eventually(lambda: _hangs(house, 6), house.states, 20)  # what was urgent showed that mails are taken
        delays += [await _delay(house, idle) for _ in range(2)]
        house.sink.fail("refuse", code=421, recipient="kim@example.com")
        [first] = some(1, role="senior_it_operations_manager")
        await house.take(first)
        await eventually(_first_is_away, house.states)
        house.sink.fail("none")
        await eventually(lambda: _is_sent(house, first), house.states, 20)
        delays += [await _delay(house, idle) for _ in range(3)]
        assert await _hangs(house, 6)
        house.sink.fail("refuse_connection")  # whatever hangs ends
        house.sink.fail("delay", seconds=0.3, recipient="dana@example.com")
        await eventually(lambda: _flow(house), house.states)
        delays += [await _delay(house, idle) for _ in range(3)]
    house.sink.fail("none")
    assert max(delays) < 1, delays


async def test_a_mail_of_severity_1_does_not_wait_for_another_that_asks_a_slow_server(house: World) -> None:
    """One mail asks a server that takes nothing so far. Where it is not urgent, one that is asks beside it."""
    house.settings = {**house.settings, "smtp_timeout": 120}
    house.sink.fail("slow_banner", seconds=600)
    async with house.notifier():
        await house.take(*some(1, severity=3))
        await eventually(lambda: _is(house, "claimed"), house.states)
        await house.take(*some(1, severity=3))
        house.sink.fail("none")  # for who connects from now on
        await _urgent_takes(house)
        await eventually(lambda: _is(house, "sent", 2), house.states)  # what waited goes too
        assert (await house.states())[0] == "claimed"
        house.sink.fail("refuse_connection")  # lets go who waits for the greeting


async def test_beside_one_that_asks_a_server_there_is_one_at_most(house: World) -> None:
    """A password that is wrong is tried twice, not by each of the urgent."""
    house.settings = {**house.settings, "smtp_timeout": 0.3, "retry_base": 60}
    house.sink.fail("slow_banner", seconds=600)
    async with house.notifier():
        await house.take(*some(1, severity=3))
        await eventually(lambda: _is(house, "claimed"), house.states)
        await house.take(*some(2))
        await eventually(lambda: _is(house, "deferred", 3), house.states)
    async with house.engine.connect() as connection:
        query = select(journal.c.entry).join(deliveries).where(deliveries.c.severity == 1).order_by(journal.c.id)
        assert list(await connection.scalars(query)) == ["queued", "queued", *["claimed", "deferred"] * 2]


async def _delay(house: World, idle: World) -> float:
    """How many seconds longer a mail of severity 1 takes than where nothing else waits."""
    there, here = await asyncio.gather(_urgent_takes(idle), _urgent_takes(house))
    return here - there


async def _urgent_takes(house: World) -> float:
    """Seconds until a mail of severity 1 is noted as sent."""
    begun = time.monotonic()
    [urgent] = some(1, role="senior_it_operations_manager")
    await house.take(urgent)
    await eventually(lambda: _is_sent(house, urgent), house.states)
    return time.monotonic() - begun


async def _multiply(house: World, times: int) -> None:
    """The deliveries that are there, as often again, each of a ticket of its own."""
    own = ("seq", "id", "ticket_id", "notification_id")
    columns = ", ".join(column.name for column in deliveries.columns if column.name not in own)
    async with house.engine.begin() as connection:
        await connection.execute(
            text(
                "WITH more AS (SELECT gen_random_uuid() AS new_ticket, gen_random_uuid() AS new_notice, d.*"
                f" FROM deliveries d, generate_series(2, {times})),"
                " known AS (INSERT INTO tickets (ticket_id) SELECT new_ticket FROM more),"
                " told AS (INSERT INTO notices (id, ticket_id, type, event)"
                " SELECT new_notice, new_ticket, type, event FROM more JOIN notices ON notices.id = notification_id)"
                f" INSERT INTO deliveries (id, ticket_id, notification_id, {columns})"
                f" SELECT gen_random_uuid(), new_ticket, new_notice, {columns} FROM more"
            )
        )
        await connection.execute(text("ANALYZE deliveries"))
        assert await connection.scalar(select(func.count()).select_from(deliveries)) == 20 * times


async def _hangs(house: World, count: int) -> bool:
    return await _others(house, "in_data") == count


async def _flow(house: World) -> bool:
    return await _others(house, "sent") > 6


async def _others(house: World, state: str) -> int:
    """How many mails of severity 3 are in that state."""
    async with house.engine.connect() as connection:
        query = select(func.count()).where(deliveries.c.state == state, deliveries.c.severity == 3)
        return int(await connection.scalar(query) or 0)


async def _is_sent(house: World, notice: Notify) -> bool:
    async with house.engine.connect() as connection:
        query = select(deliveries.c.state).where(deliveries.c.notification_id == notice.event_id)
        return await connection.scalar(query) == "sent"


async def _is(house: World, state: str, times: int = 1) -> bool:
    return (await house.states()).count(state) >= times


async def _may_ask(relays: Relays) -> bool:
    return relays.are_open or relays.are_due


async def _first_is_back() -> bool:
    return _shown("sla_mail_relay_failing", "first") == 0


async def _first_is_away() -> bool:
    return _shown("sla_mail_relay_failing", "first") == 1


def _shown(metric: str, relay: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"relay": relay})
