"""The board's pages on made tickets: the application without database, topics and other services."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
from board.api import live, pages
from board.api.access import LOGIN_BYTES, Access, TrustedProxies, add_access
from board.api.board_rows import BoardRows
from board.api.html import static_routes
from board.api.session import SessionSigner
from board.workers.live_updates import LiveUpdates
from board.workers.open_tickets import OpenTickets
from fastapi import FastAPI
from tocsin.business_time import load_zone
from tocsin.runtime.http.api_keys import TICKETS_READ, KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.public_address import Network
from tocsin.runtime.process.clock import FileClock
from tocsin.sources.directory_file import DirectoryFile

from support.board_tickets import NOW, MemoryTickets
from support.service_apps import POLICIES

SESSION_KEY: Final = "s" * 32
ZONE: Final = load_zone("Europe/Berlin")


@dataclass
class StaleSign:
    """Whether the tickets are up to date, as the test says."""

    problem: str | None = None

    def why_stale(self, tenant: str) -> str | None:
        return self.problem if tenant == "default" else None


@dataclass
class BoardPages:
    """`key` may read the tickets of the tenant `default`; `client` sends it with every request."""

    app: FastAPI
    client: httpx.AsyncClient
    source: MemoryTickets
    tickets: OpenTickets
    updates: LiveUpdates
    keys: Path
    key: str
    stale: StaleSign
    clock_file: Path
    directory_file: Path

    def set_clock(self, at: datetime) -> None:
        """Stop business time at this instant, which is not before the current one."""
        with self.clock_file.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat()} {at.isoformat()} 0\n")

    def new_key(self, tenant: str = "default", scopes: tuple[str, ...] = (TICKETS_READ,)) -> str:
        """A further key of keys.yaml."""
        return add_key_to(self.keys, tenant, scopes)

    @asynccontextmanager
    async def browser(
        self, address: str = "192.0.2.7", site: str = "http://localhost"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client at this address without a key. It keeps cookies and follows no redirect."""
        transport = httpx.ASGITransport(self.app, client=(address, 50_000))
        headers = {"Accept": "text/html", "Origin": site}
        async with httpx.AsyncClient(transport=transport, base_url=site, headers=headers) as made:
            yield made


@asynccontextmanager
async def board_pages(
    folder: Path,
    *,
    proxies: Sequence[Network] = (),
    tenants: dict[str, str] | None = None,
    session_keys: Sequence[str] = (SESSION_KEY,),
) -> AsyncIterator[BoardPages]:
    """The pages. Business time stands still at `NOW` until the test sets it."""
    keys, clock_file = folder / "keys.yaml", folder / "clock"
    key = add_key_to(keys, "default", (TICKETS_READ,))
    clock_file.write_text(f"{(datetime.now(UTC) - timedelta(days=1)).isoformat()} {NOW.isoformat()} 0\n")
    clock, ring, source, stale = FileClock(clock_file), KeyRing(keys), MemoryTickets(), StaleSign()
    tickets = OpenTickets(source)
    directory_file = folder / "directory.yaml"
    directory_file.write_bytes((POLICIES / "directory.yaml").read_bytes())
    directory = DirectoryFile(directory_file)
    rows = BoardRows(ZONE, directory.current)
    updates = LiveUpdates(tickets, clock, rows.render, stale.why_stale, directory.current)
    first_page = pages.Board(tickets=tickets, rows=rows, clock=clock, zone=ZONE, problem=stale.why_stale)
    limits = {"/login": LOGIN_BYTES, "/logout": LOGIN_BYTES}
    app = create_app("board", "", ring, {}, body_limits=limits, free_form=("/login", "/logout"))
    for router in (static_routes(), pages.router(first_page), live.router(updates)):
        app.include_router(router)
    trusted = TrustedProxies(
        networks=proxies, user_header="X-Forwarded-User", groups_header="X-Forwarded-Groups", tenants=tenants or {}
    )
    add_access(app, Access(keys=ring, proxies=trusted, sessions=SessionSigner(session_keys) if session_keys else None))
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        yield BoardPages(app, client, source, tickets, updates, keys, key, stale, clock_file, directory_file)


def add_key_to(path: Path, tenant: str, scopes: tuple[str, ...]) -> str:
    """A new key in keys.yaml."""
    text, entry = issue(tenant, scopes)
    present = KeyRing(path).keys if path.exists() else ()
    write_keys(path, KeyFile(keys=(*present, entry)))
    return text
