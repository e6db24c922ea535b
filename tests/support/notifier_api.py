"""The notifier's HTTP API on the database of a `NotifierWorld`, with keys of two tenants."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from notifier.service import build
from tocsin.runtime.http.api_keys import ADMIN, TICKETS_READ, TICKETS_WRITE, KeyFile, issue, write_keys

from support.notifier_world import NotifierWorld


@dataclass(frozen=True)
class ApiClients:
    """`admin`, `writing` and `reading` have keys of the tenant `default` with that scope only, `other` of another."""

    clients: Mapping[str, httpx.AsyncClient]

    async def get(self, path: str, status: int = 200, *, key: str = "reading", **query: Any) -> Any:
        response = await self.clients[key].get(path, params=query)
        assert response.status_code == status, response.text
        return response.json()

    async def post(self, path: str, status: int, *, key: str = "admin", **request: Any) -> Any:
        response = await self.clients[key].post(path, **request)
        assert response.status_code == status, response.text
        return response.json()

    async def list_ids(self, *, key: str = "reading", **query: Any) -> list[str]:
        """The ids of a page, in its order."""
        return [item["id"] for item in (await self.get("/v1/deliveries", key=key, **query))["items"]]


@asynccontextmanager
async def api_clients(world: NotifierWorld, folder: Path) -> AsyncIterator[ApiClients]:
    """The service's application in this process; the world's notifiers find the mails that it queues by their poll."""
    scopes = {"admin": (ADMIN,), "writing": (TICKETS_WRITE,), "reading": (TICKETS_READ,)}
    issued = {name: issue("default", given) for name, given in scopes.items()} | {"other": issue("other")}
    write_keys(folder / "keys.yaml", KeyFile(keys=tuple(key for _, key in issued.values())))
    service = build(world.make_settings(keys=folder / "keys.yaml"), world.clock())
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
    headers = {name: {"Authorization": f"Bearer {text}"} for name, (text, _) in issued.items()} | {"nobody": {}}
    clients = {
        name: httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=own)
        for name, own in headers.items()
    }
    yield ApiClients(clients)
    for client in clients.values():
        await client.aclose()
    await service.runtime.dispose()
