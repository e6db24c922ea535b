"""What was to be encrypted goes encrypted or not at all, and a wrong password refuses nobody."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from notifier.domain.smtp_result import Answer
from notifier.store.tables import journal
from notifier.workers.smtp_connection import Connection, Smtp
from sqlalchemy import select
from support.notifier_events import NOON, escalation, ticket
from support.notifier_world import World, world
from support.polling import eventually
from support.servers import MakeDatabase, SharedSink
from support.tls_smtp_sink import secured_sink

NOW = NOON + timedelta(hours=1, seconds=1)
SHORTEST_PAUSE = timedelta(seconds=0.2)  # and a little less, for the clocks


@pytest.fixture
def secured(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[SharedSink, Mapping[str, Any]]]:
    with secured_sink(tmp_path, **getattr(request, "param", {})) as sink_and_login:
        yield sink_and_login


@pytest.fixture
async def house(
    make_database: MakeDatabase, secured: tuple[SharedSink, Mapping[str, Any]], tmp_path: Path
) -> AsyncIterator[World]:
    sink, login = secured
    async with world(make_database("notifier"), sink, tmp_path, NOW, **login) as made:
        yield made


@pytest.mark.parametrize("secured", [{"tls": "starttls"}, {"tls": "tls"}], indirect=True, ids=["starttls", "implicit"])
async def test_tls_and_auth(house: World) -> None:
    async with house.notifier():
        await house.take(escalation())
        await house.reaches("sent")
    assert len(house.mails()) == 1
    settings = house.make_settings()
    connection = await Smtp(settings.mail_servers[0], settings).connect()
    assert isinstance(connection, Connection)
    context = connection.client.get_transport_info("ssl_object").context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    connection.client.close()


async def test_a_stripped_starttls_sends_nothing_in_clear(house: World) -> None:
    house.sink.fail("strip_tls")
    await _held_back(house, "STARTTLS")
    assert house.mails() == []


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(house: World) -> None:
    house.settings = {**house.settings, "smtp_ca": None}
    await _held_back(house, "certificate verify failed")
    assert house.mails() == []


@pytest.mark.parametrize("secured", [{"name": "mail.example.org"}], indirect=True, ids=["another name"])
async def test_a_certificate_for_another_name_is_not_trusted(house: World) -> None:
    settings = house.make_settings()
    answer = await Smtp(settings.mail_servers[0], settings).connect()
    assert isinstance(answer, Answer)
    assert "certificate verify failed: IP address mismatch" in answer.words


async def test_a_login_is_tried_once_not_by_every_mechanism(house: World) -> None:
    house.sink.fail("refuse_login")
    await _held_back(house, "535 5.7.8 authentication by PLAIN refused on request")


async def test_a_wrong_password_refuses_nobody(house: World) -> None:
    right = house.settings
    house.settings = {**right, "smtp_password": "wrong"}
    await _held_back(house, "535")
    assert house.mails() == []
    house.settings = right
    async with house.notifier():
        await house.quiet()
    assert await house.states() == ["sent"] * 10
    assert len(house.mails()) == 10


async def _held_back(house: World, words: str) -> None:
    """Ten mails wait, the server is asked again only after a pause, and the reason is told."""
    async with house.notifier():
        await house.take(*(escalation(ticket(ticket_id=uuid4()), event_id=uuid4()) for _ in range(10)))
        tried = await eventually(lambda: _refused(house, words, 3), house.deliveries)
        assert set(await house.states()) <= {"queued", "claimed", "deferred"}
    assert all(later - earlier > SHORTEST_PAUSE for earlier, later in pairwise(tried))


async def _refused(house: World, words: str, times: int) -> Sequence[datetime]:
    """When attempts ended with these words, once there are so many."""
    ended = select(journal.c.real_at).where(journal.c.entry == "deferred", journal.c.reply.contains(words))
    async with house.engine.connect() as connection:
        found = (await connection.execute(ended.order_by(journal.c.id))).scalars().all()
    return found if len(found) >= times else ()
