"""What was to be encrypted goes encrypted or not at all, and a wrong password refuses nobody."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from notifier_events import NOON, escalation, ticket
from notifier_world import World, eventually, world
from servers import MakeDatabase, SharedSink
from tocsin_local.processes import free_port

NOW = NOON + timedelta(hours=1, seconds=1)
SECRET = "correct horse"


class Server:
    """A mail server with STARTTLS and AUTH by a certificate of its own authority; `taken` are its mails."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.tls)
        self.taken: list[tuple[bool, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.taken.append((session.ssl is not None, str(session.auth_data)))
        return "250 2.0.0 taken"

    @contextmanager
    def listening(self, *, offers_tls: bool = True) -> Iterator[dict[str, Any]]:
        """The settings that lead to it."""
        tls: dict[str, Any] = {"tls_context": self.tls, "require_starttls": True, "auth_required": True}
        controller = Controller(
            self, hostname="127.0.0.1", port=free_port(), authenticator=_known, **tls if offers_tls else {}
        )
        controller.start()
        try:
            yield {
                "smtp": f"127.0.0.1:{controller.port}",
                "smtp_tls": "starttls",
                "smtp_ca": self.ca,
                "smtp_username": "tocsin",
                "smtp_password": SECRET,
            }
        finally:
            controller.stop()


def _known(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    right = given.password == SECRET.encode()
    return AuthResult(success=right, handled=False, auth_data=given.login.decode() if right else None)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture
async def house(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    async with world(make_database("notifier"), smtp_sink, tmp_path, NOW) as made:
        yield made


async def test_starttls_and_auth(house: World, server: Server) -> None:
    with server.listening() as settings:
        house.settings = {**house.settings, **settings}
        async with house.notifier():
            await house.take(escalation())
            await house.reaches("sent")
    assert server.taken == [(True, "tocsin")]


async def test_a_stripped_starttls_sends_nothing_in_clear(house: World, server: Server) -> None:
    with server.listening(offers_tls=False) as settings:
        house.settings = {**house.settings, **settings}
        await _held_back(house, "STARTTLS")
    assert server.taken == []


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(house: World, server: Server) -> None:
    with server.listening() as settings:
        house.settings = {**house.settings, **settings, "smtp_ca": None}
        await _held_back(house, "certificate verify failed")
    assert server.taken == []


async def test_a_wrong_password_refuses_nobody(house: World, server: Server) -> None:
    with server.listening() as settings:
        house.settings = {**house.settings, **settings, "smtp_password": "wrong"}
        await _held_back(house, "535")
        assert server.taken == []
        house.settings = {**house.settings, **settings}
        async with house.notifier():
            await house.quiet()
    assert await house.states() == ["sent"] * 10
    assert server.taken == [(True, "tocsin")] * 10


async def _held_back(house: World, words: str) -> None:
    """Ten mails wait, the server is not asked for each of them, and the reason is told."""
    async with house.notifier():
        await house.take(*(escalation(ticket(ticket_id=uuid4()), event_id=uuid4()) for _ in range(10)))
        await eventually(lambda: _tried(house, words), house.deliveries)
        await asyncio.sleep(0.3)
        assert set(await house.states()) <= {"queued", "claimed", "deferred"}
        assert sum(delivery.attempts for delivery in await house.deliveries()) < 5


async def _tried(house: World, words: str) -> bool:
    return any(words in (delivery.reply or "") for delivery in await house.deliveries())
