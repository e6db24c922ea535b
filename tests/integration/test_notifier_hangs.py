"""A mail server that hangs is noticed from its first two hangs, and mail flows again soon after it has recovered.

With a timeout of ten seconds a reply is overdue after 2.5 s, and after 1 s in a trial.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from notifier.workers import circuit_breaker
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from support.notifier_events import NOON, escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from tocsin.events import Notify

NOW = NOON + timedelta(hours=1, seconds=1)
TIMEOUT = 10
PATIENT = {"smtp_timeout": TIMEOUT, "smtp_data_timeout": TIMEOUT, "poll_interval": 0.05}


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOW, **PATIENT) as made:
        yield made


def notifies(count: int, **fields: Any) -> list[Notify]:
    return [escalation(ticket(ticket_id=uuid4()), event_id=uuid4(), **fields) for _ in range(count)]


@pytest.mark.parametrize("fault", ["hang_at_ehlo", "hang_at_mail", "hang_at_rcpt", "slow_banner", "hang_after_dot"])
async def test_mail_flows_before_the_mails_that_hang_have_timed_out(world: NotifierWorld, fault: str) -> None:
    async with world.notifier():
        await works(world)
        world.sink.fail(fault, **({"seconds": 600} if fault == "slow_banner" else {}))
        before = overdue()
        begun = time.monotonic()
        await world.receive(*notifies(3))  # one of them may have a connection that is open already
        await eventually(is_hung, world.states)
        assert overdue() - before >= 2
        world.sink.fail("none")
        await world.receive(*notifies(5))
        await eventually(lambda: sent(world, 6), world.states)
        assert time.monotonic() - begun < TIMEOUT, "the first mails still wait"
        assert not is_hung()
        await world.quiet(60)
    copies = Counter(mail["Message-ID"] for mail in world.mails())
    journal = await world.journal()
    assert len(copies) == 9
    assert sum(copies.values()) - 9 <= journal.count("ambiguous"), "no copy is unexplained"
    assert (fault == "hang_after_dot") == ("ambiguous" in journal)


async def test_other_mails_go_to_the_second_server_and_severity_1_never_tries_the_one_that_hangs(
    world: NotifierWorld, second: SharedSink
) -> None:
    world.settings = {**world.settings, "smtp_second": second.address}
    async with world.notifier():
        await works(world)
        world.sink.fail("hang_after_dot")
        await world.receive(*notifies(2))
        await eventually(is_hung, world.states)
        await world.receive(*notifies(20))
        await eventually(lambda: sent(world, 21), world.states)
        assert len(second.messages()) == 20
        assert gauge("sla_mail_server_backing_off") == 0
        world.sink.fail("none")
        await eventually(lambda: returns_to_the_first(world), world.states)
        await world.quiet(60)
    assert not is_hung()


async def test_while_it_hangs_one_mail_at_a_time_tries_the_server(world: NotifierWorld) -> None:
    """Each mail that enters DATA then may be doubled."""
    world.settings = {**world.settings, "retry_base": 60}
    async with world.notifier():
        await works(world)
        world.sink.fail("hang_after_dot")
        await world.receive(*notifies(2))
        await eventually(is_hung, world.states)
        with capture_logs() as logs:
            began = time.monotonic()
            await world.receive(*notifies(30))
            await eventually(lambda: in_data(world, 5), world.states)
            seconds = time.monotonic() - began
            trials = [line for line in logs if line["event"] == "mail_server_hangs"]
            assert len(world.mails()) <= 3 + len(trials) + 1, "no second mail before the first was overdue"
            assert seconds > len(trials), "a trial takes a second to fail"
        world.sink.fail("none")
        await eventually(lambda: sent(world, 20), world.states)


async def test_a_slow_server_is_learned_and_no_mail_is_doubled(world: NotifierWorld) -> None:
    """It looks as if it hung until its first late replies. They count, and its usual time is known from then on."""
    async with world.notifier():
        await works(world)
        world.sink.fail("delay", seconds=4)
        await world.receive(*notifies(3))
        await eventually(is_hung, world.states)
        await eventually(lambda: sent(world, 3), world.states)
        assert not is_hung()
        before = overdue()
        await world.receive(*notifies(6))
        await world.quiet(60)
        assert overdue() == before, "four seconds are usual now"
    assert [delivery.attempts for delivery in await world.deliveries()] == [1] * 10
    assert "ambiguous" not in await world.journal()
    assert len(world.mails()) == 10


async def test_one_mail_that_hangs_says_nothing_about_the_server(world: NotifierWorld) -> None:
    async with world.notifier():
        await works(world)
        world.sink.fail("hang_after_dot", recipient="kim@example.com")
        before = overdue()
        await world.receive(*notifies(2, role="senior_it_operations_manager"))

        async def others_flow() -> bool:
            await world.receive(*notifies(1))
            return overdue() - before >= 2

        await eventually(others_flow, world.states, every=0.1)
        assert not is_hung()
        world.sink.fail("refuse_connection")  # ends the attempts that hang
        world.sink.fail("none")
        await world.quiet(60)


async def test_a_probe_without_a_mail_does_not_end_a_hang(world: NotifierWorld) -> None:
    """The server answers EHLO and MAIL all the time."""
    async with world.notifier() as service:
        await works(world)
        world.sink.fail("hang_after_dot")
        await world.receive(*notifies(2))
        await eventually(is_hung, world.states)
        for _ in range(3):
            await service.sender.probe_failed_servers()
        assert is_hung()
        world.sink.fail("none")
        await world.quiet(60)
    assert not is_hung()


async def test_a_hang_expires_without_a_mail(world: NotifierWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.notifier():
        await works(world)
        world.sink.fail("hang_after_dot")
        await world.receive(*notifies(2))
        await eventually(is_hung, world.states)
        monkeypatch.setattr(circuit_breaker, "_HUNG_FOR", 0)
        await eventually(lambda: not is_hung(), world.states, TIMEOUT / 4)
        assert await in_data(world, 2), "no mail has ended"
        world.sink.fail("none")
        await world.quiet(60)


async def works(world: NotifierWorld) -> None:
    """One mail is sent, so the server is known to accept mails."""
    await world.receive(*notifies(1))
    await world.reaches("sent")


async def returns_to_the_first(world: NotifierWorld) -> bool:
    """Whether a mail of severity 3 found out that the first server has recovered."""
    await world.receive(*notifies(1, severity=3, kind="escalation_request", run=None, step=None, tier=None))
    await asyncio.sleep(0.2)  # a mail at a time is enough to find out
    return not is_hung()


async def sent(world: NotifierWorld, count: int) -> bool:
    return (await world.states()).count("sent") >= count


async def in_data(world: NotifierWorld, count: int) -> bool:
    return (await world.states()).count("in_data") >= count


def is_hung() -> bool:
    return gauge("sla_mail_relay_hung", relay="first") == 1


def overdue() -> float:
    return gauge("sla_mail_overdue_replies_total", relay="first") or 0


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_mails_claimed_ahead_of_their_connections_are_released_by_a_stop(world: NotifierWorld) -> None:
    world.settings = {**world.settings, "smtp_concurrency": 2}  # one connection for mails that are not of severity 1
    async with world.notifier():
        await works(world)
        world.sink.clear()
        world.sink.fail("delay", seconds=2)
        await world.receive(*notifies(4, severity=2))

        async def all_claimed() -> bool:
            states = Counter(await world.states())
            return (states["in_data"], states["claimed"]) == (1, 3)

        await eventually(all_claimed, world.states, TIMEOUT)
    assert Counter((await world.states())[-4:]) == {"sent": 1, "queued": 3}
    world.sink.fail("none")
    async with world.notifier():
        await world.quiet()
    assert len(world.mails()) == 4
