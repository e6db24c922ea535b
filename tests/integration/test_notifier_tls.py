"""Mail is never sent in the clear unless configured, and a wrong password refuses no mail."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from notifier.domain.smtp_reply import SmtpReply
from notifier.store.tables import JOURNAL
from notifier.workers.smtp_server import SmtpConnection, SmtpServer
from sqlalchemy import select
from support.notifier_events import NOON, escalation, ticket
from support.notifier_world import NotifierWorld, make_world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from support.tls_smtp_sink import secured_sink

NOW = NOON + timedelta(hours=1, seconds=1)


@pytest.fixture
def secured(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[SharedSink, Mapping[str, Any]]]:
    with secured_sink(tmp_path, **getattr(request, "param", {})) as sink_and_login:
        yield sink_and_login


@pytest.fixture
async def world(
    make_database: MakeDatabase, secured: tuple[SharedSink, Mapping[str, Any]], tmp_path: Path
) -> AsyncIterator[NotifierWorld]:
    sink, login = secured
    async with make_world(make_database("notifier"), sink, tmp_path, NOW, **login) as made:
        yield made


@pytest.mark.parametrize("secured", [{"tls": "starttls"}, {"tls": "tls"}], indirect=True, ids=["starttls", "implicit"])
async def test_tls_and_auth(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(escalation())
        await world.reaches("sent")
    assert len(world.mails()) == 1
    settings = world.make_settings()
    connection = await SmtpServer(settings.mail_servers[0], settings).connect()
    assert isinstance(connection, SmtpConnection)
    context = connection.client.get_transport_info("ssl_object").context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    connection.client.close()


async def test_a_stripped_starttls_sends_nothing_in_the_clear(world: NotifierWorld) -> None:
    world.sink.fail("strip_tls")
    await _mails_wait(world, "STARTTLS")
    assert world.mails() == []


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(world: NotifierWorld) -> None:
    world.settings = {**world.settings, "smtp_ca": None}
    await _mails_wait(world, "certificate verify failed")
    assert world.mails() == []


@pytest.mark.parametrize("secured", [{"name": "mail.example.org"}], indirect=True, ids=["another name"])
async def test_a_certificate_for_another_name_is_not_trusted(world: NotifierWorld) -> None:
    settings = world.make_settings()
    reply = await SmtpServer(settings.mail_servers[0], settings).connect()
    assert isinstance(reply, SmtpReply)
    assert "certificate verify failed: IP address mismatch" in reply.text


async def test_a_login_uses_one_mechanism_only(world: NotifierWorld) -> None:
    world.sink.fail("refuse_login")
    await _mails_wait(world, "535 5.7.8 authentication by PLAIN refused on request")


async def test_a_wrong_password_refuses_no_mail(world: NotifierWorld) -> None:
    right = world.settings
    world.settings = {**right, "smtp_password": "wrong"}
    await _mails_wait(world, "535")
    assert world.mails() == []
    world.settings = right
    async with world.notifier():
        await world.quiet()
    assert await world.states() == ["sent"] * 10
    assert len(world.mails()) == 10


async def _mails_wait(world: NotifierWorld, words: str) -> None:
    """Ten mails wait, the journal has the reason, and the pauses between the attempts keep most mails from trying."""
    async with world.notifier():
        await world.receive(*(escalation(ticket(ticket_id=uuid4()), event_id=uuid4()) for _ in range(10)))
        tried = await eventually(lambda: _refused(world, words, 3), world.deliveries)
        assert set(await world.states()) <= {"queued", "claimed", "deferred"}
    assert len(set(tried)) < 10


async def _refused(world: NotifierWorld, words: str, times: int) -> Sequence[UUID]:
    """The deliveries of the attempts that ended with this reply, once there are so many."""
    ended = select(JOURNAL.c.delivery_id).where(JOURNAL.c.entry == "deferred", JOURNAL.c.reply.contains(words))
    async with world.engine.connect() as connection:
        found = (await connection.execute(ended.order_by(JOURNAL.c.id))).scalars().all()
    return found if len(found) >= times else ()
