"""The board's pages on its database, over real connections: a person signs in, and sees tickets arrive and leave."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import board.service
import board.settings
import httpx
import pytest
from board.api import live
from pydantic import SecretStr
from support.board_pages import SESSION_KEY, add_key_to
from support.board_tickets import ACME, board_ticket
from support.polling import eventually
from support.servers import MakeDatabase
from support.service_apps import POLICIES
from tocsin.events import Fact, FactType, TicketChanged, TicketOpened
from tocsin.runtime.http.api_keys import TICKETS_READ, edit_keys
from tocsin.runtime.http.server import create_server, listen
from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.tasks import cancel_all
from tocsin_local.loopback import free_port

SECONDS = 30


@dataclass
class World:
    """A board that serves at `url`. `key` reads the tickets of `default`."""

    service: board.service.BoardService
    url: str
    key: str
    keys: Path
    stopping: asyncio.Event
    offset: int = 0

    async def receive(self, *events: TicketOpened | TicketChanged) -> None:
        """The board handles the events as one batch of its topic, and its loops are woken as after every commit."""
        records = [
            Received(event, TICKETS_TOPIC, 0, self.offset + n, datetime.now(UTC)) for n, event in enumerate(events)
        ]
        self.offset += len(records)
        async with self.service.runtime.writer.begin() as connection:
            await self.service.handlers.on_tickets(connection, records)

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Accept": "text/html", "Origin": self.url}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=SECONDS) as made:
            yield made


@asynccontextmanager
async def world_of(url: str, folder: Path, **settings: Any) -> AsyncIterator[World]:
    key = add_key_to(folder / "keys.yaml", "default", (TICKETS_READ,))
    port = free_port()
    made = board.settings.Settings(
        database_url=url,
        kafka="127.0.0.1:1",
        keys=folder / "keys.yaml",
        directory=POLICIES / "directory.yaml",
        upstream_keys=json.dumps({}),
        board_session_keys=SecretStr(SESSION_KEY),
        **settings,
    )
    service, stopping = board.service.build(made), asyncio.Event()
    server = create_server(service.app)
    work = [asyncio.create_task(task(stopping)) for task in service.tasks]
    http = asyncio.create_task(server.serve([listen("127.0.0.1", port)]))
    await eventually(lambda: server.started, "the server listens", SECONDS)
    try:
        yield World(service, f"http://127.0.0.1:{port}", key, folder / "keys.yaml", stopping)
    finally:
        stopping.set()
        server.should_exit = True
        await asyncio.gather(http, *work)
        await service.runtime.dispose()


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(make_database("board"), tmp_path) as made:
        yield made


def opened(external_id: str, **fields: Any) -> TicketOpened:
    ticket = board_ticket(external_id, **fields).ticket
    at = datetime.now(UTC) - timedelta(minutes=1)
    fact = Fact(number=1, event_id="opened", type=FactType.OPENED, occurred_at=at, received_at=at, severity=2)
    return TicketOpened(ticket=ticket, fact=fact)


def further(ticket: TicketOpened, number: int, kind: FactType, **fields: Any) -> TicketChanged:
    at = datetime.now(UTC)
    fact = Fact(number=number, event_id=f"{kind}", type=kind, occurred_at=at, received_at=at, **fields)
    return TicketChanged(tenant=ticket.ticket.tenant, ticket_id=ticket.ticket_id, fact=fact)


async def login(browser: httpx.AsyncClient, key: str) -> None:
    done = await browser.post("/login", data={"key": key, "next": "/"})
    assert (done.status_code, done.headers["location"]) == (303, "/")


async def position(browser: httpx.AsyncClient) -> str:
    text = (await browser.get("/")).text
    return text.split("after=")[1].split('"')[0]


class Stream:
    """The events of a live connection as they arrive."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def together(self) -> dict[str, Mapping[str, Any]]:
        """The next events by name, up to a heartbeat: it ends what belongs together."""
        found: dict[str, Mapping[str, Any]] = {}
        async with asyncio.timeout(SECONDS):
            while "heartbeat" not in found:
                name, data = await self._next()
                found[name] = data
        return found

    async def _next(self) -> tuple[str, Mapping[str, Any]]:
        event = ""
        async for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = value
            elif field == "event":
                event = value
            elif field == "data":
                return event, json.loads(value)
        raise AssertionError("the stream ended")

    async def until(self, name: str) -> Mapping[str, Any]:
        """The data of the next event of this name."""
        async with asyncio.timeout(SECONDS):
            while True:
                event, data = await self._next()
                if event == name:
                    return data

    async def rest(self) -> Sequence[str]:
        """What is left until the server ends the stream."""
        async with asyncio.timeout(SECONDS):
            return [line async for line in self._lines]


@asynccontextmanager
async def watching(browser: httpx.AsyncClient, after: str, **headers: str) -> AsyncIterator[Stream]:
    async with browser.stream("GET", f"/live?after={after}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Stream(response)


async def test_a_person_sees_tickets_arrive_change_and_leave(world: World) -> None:
    first = opened("SR-1", summary="<b>Printer</b>")
    async with world.browser() as browser:
        await login(browser, world.key)
        async with watching(browser, await position(browser)) as stream:
            await stream.until("heartbeat")
            await world.receive(first)
            arrived = await stream.until("ticket")
            assert (arrived["id"], arrived["group"]) == (str(first.ticket_id), "later")
            assert "&lt;b&gt;Printer" in arrived["html"]
            assert (await stream.until("counts"))["severity_2"] == 1
            await world.receive(further(first, 2, FactType.SEVERITY_CHANGED, severity=1))
            assert "severity s1" in (await stream.until("ticket"))["html"]
            await world.receive(further(first, 3, FactType.RESOLVED, resolution_kind="resolved"))
            assert await stream.until("gone") == {"id": str(first.ticket_id)}
            assert (await stream.until("counts"))["open"] == 0
        assert "SR-1" not in (await browser.get("/")).text


async def test_a_client_that_connects_again_gets_what_it_has_missed(world: World) -> None:
    """By the id of the last event, which browsers send, and which goes before the position of the page."""
    first, second = opened("SR-1"), opened("SR-2")
    await world.receive(first)
    async with world.browser() as browser:
        await login(browser, world.key)
        async with watching(browser, await position(browser)) as stream:
            await stream.until("heartbeat")
            last = stream.last_id
        await world.receive(second, further(first, 2, FactType.RESOLVED, resolution_kind="resolved"))
        async with watching(browser, "0.0", **{"Last-Event-ID": last}) as stream:
            missed: dict[str, Mapping[str, Any]] = {}
            while not missed.keys() >= {"ticket", "gone"}:  # each read of the changes is a batch
                missed |= await stream.together()
            assert (missed["gone"]["id"], missed["ticket"]["id"]) == (str(first.ticket_id), str(second.ticket_id))


async def test_a_page_selects_in_the_database_what_the_filter_says_and_only_the_tenants(world: World) -> None:
    await world.receive(
        opened("SR-1"), opened("SR-2", summary="VPN drops"), opened("XX-1", tenant="other", customer=ACME)
    )
    other = add_key_to(world.keys, "other", (TICKETS_READ,))
    async with world.browser() as browser:
        found = {}
        for key, query in ((world.key, ""), (world.key, "?text=vpn"), (other, "?customer=acme")):
            text = (await browser.get(f"/{query}", headers={"Authorization": f"Bearer {key}"})).text
            found[query] = [name for name in ("SR-1", "SR-2", "XX-1") if name in text]
    assert found == {"": ["SR-1", "SR-2"], "?text=vpn": ["SR-2"], "?customer=acme": ["XX-1"]}


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
async def test_a_removed_key_ends_its_streams(world: World, monkeypatch: pytest.MonkeyPatch, is_busy: bool) -> None:
    """Also while changes keep coming, each of which sends something before the time for a heartbeat."""
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 2.0)
    first = opened("SR-1")
    await world.receive(first)

    async def keep_changing() -> None:
        for number in itertools.count(2):
            await world.receive(further(first, number, FactType.SEVERITY_CHANGED, severity=1 + number % 4))
            await asyncio.sleep(0.1)

    async with world.browser() as browser:
        await login(browser, world.key)
        async with watching(browser, await position(browser)) as stream:
            await stream.until("heartbeat")
            edit_keys(world.keys, lambda keys: [])
            changing = asyncio.create_task(keep_changing()) if is_busy else None
            await stream.rest()
            if changing is not None:
                await cancel_all([changing])
        assert (await browser.get("/")).headers["location"] == "/login"


async def test_the_end_of_the_process_ends_the_streams(world: World) -> None:
    async with world.browser() as browser:
        await login(browser, world.key)
        async with watching(browser, await position(browser)) as stream:
            await stream.until("heartbeat")
            world.stopping.set()
            await stream.rest()


@pytest.mark.parametrize(
    ("proxies", "status"), [("10.20.0.0/16", 303), ("127.0.0.0/8", 200)], ids=["another address", "the peer"]
)
async def test_the_peer_decides_whether_a_proxy_is_trusted_and_not_what_it_forwards(
    make_database: MakeDatabase, tmp_path: Path, proxies: str, status: int
) -> None:
    """`X-Forwarded-For` names a client to whoever trusts it. A client could name an address of a trusted network."""
    headers = {
        "X-Forwarded-For": "10.20.0.5",
        "X-Forwarded-User": "mallory",
        "X-Forwarded-Groups": "desk",
    }
    tenants = json.dumps({"desk": "default"})
    async with (
        world_of(make_database("board"), tmp_path, board_proxies=proxies, board_tenants=tenants) as world,
        world.browser() as browser,
    ):
        assert (await browser.get("/", headers=headers)).status_code == status


async def test_without_a_database_the_page_says_so(tmp_path: Path) -> None:
    async with (
        world_of("postgresql+asyncpg://nobody@127.0.0.1:1/nothing", tmp_path) as world,
        world.browser() as browser,
    ):
        response = await browser.get("/", headers={"Authorization": f"Bearer {world.key}"})
    assert (response.status_code, response.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "database does not respond" in response.text


async def test_a_tenant_without_a_key_sees_why_on_the_page_and_live(world: World) -> None:
    reason = "This board has no key for the tenant default: set TOCSIN_UPSTREAM_KEYS."
    await world.receive(opened("SR-1"))
    async with world.browser() as browser:
        await login(browser, world.key)
        assert reason in (await browser.get("/")).text
        async with watching(browser, await position(browser)) as stream:
            assert reason in (await stream.until("heartbeat"))["stale"]
