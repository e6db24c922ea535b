"""The notifier's calls on the database of a `notifier_world.World`, with keys of two tenants."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from notifier import api
from notifier.api.bounces import PATH
from tocsin.runtime.http.api_keys import ADMIN, TICKETS_READ, TICKETS_WRITE, KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.http.app import create_app
from tocsin.sources.directory_file import DirectoryFile

from support.notifier_world import World


@dataclass(frozen=True)
class Calls:
    """`admin`, `writing` and `reading` are keys of the tenant `default` with that scope alone, `other` of another."""

    clients: Mapping[str, httpx.AsyncClient]

    async def get(self, path: str, status: int = 200, *, key: str = "reading", **query: Any) -> Any:
        answer = await self.clients[key].get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, status: int, *, key: str = "admin", **request: Any) -> Any:
        answer = await self.clients[key].post(path, **request)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def listed(self, *, key: str = "reading", **query: Any) -> list[str]:
        """The ids of a page, in its order."""
        return [item["id"] for item in (await self.get("/v1/deliveries", key=key, **query))["items"]]


@asynccontextmanager
async def calls(world: World, folder: Path) -> AsyncIterator[Calls]:
    """The application in this process, on the world's database."""
    scopes = {"admin": (ADMIN,), "writing": (TICKETS_WRITE,), "reading": (TICKETS_READ,)}
    issued = {name: issue("default", given) for name, given in scopes.items()} | {"other": issue("other")}
    write_keys(folder / "keys.yaml", KeyFile(keys=tuple(key for _, key in issued.values())))
    app = create_app("notifier", "Tests", KeyRing(folder / "keys.yaml"), {}, free_form=[PATH])
    directory = DirectoryFile(world.directory)
    app.include_router(api.router(world.engine, world.engine, world.clock(), directory.current, world.wake))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    clients = {
        name: httpx.AsyncClient(
            transport=transport, base_url="http://notifier", headers={"Authorization": f"Bearer {text}"}
        )
        for name, (text, _) in issued.items()
    }
    clients["nobody"] = httpx.AsyncClient(transport=transport, base_url="http://notifier")
    yield Calls(clients)
    for client in clients.values():
        await client.aclose()
