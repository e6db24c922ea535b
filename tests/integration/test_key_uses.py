"""Every service stores when each API key was last used, and shows it to administrators."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from intake.store.tables import KEY_USES
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from support.servers import MakeDatabase
from tocsin.runtime.database.engine import engine
from tocsin.runtime.http.api_keys import ADMIN, TICKETS_READ, Caller, KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.key_routes import KeyUsage
from tocsin.runtime.http.responses import JsonResponse

routes = APIRouter(prefix="/v1")


@routes.get("/things")
async def things(caller: Annotated[Caller, Depends(require(TICKETS_READ))]) -> JsonResponse:
    return JsonResponse({})


@dataclass(frozen=True)
class Service:
    """One process of a service, and a client of it."""

    uses: KeyUsage
    client: httpx.AsyncClient

    async def get(self, path: str, key: str, status: int = 200) -> Any:
        response = await self.client.get(path, headers={"Authorization": f"Bearer {key}"})
        assert response.status_code == status, response.text
        return response.json()

    async def last(self, admin: str, key: str) -> str | None:
        items = (await self.get("/v1/keys", admin))["items"]
        (found,) = (item["last_used_at"] for item in items if item["id"] == key.split("_")[1])
        return str(found) if found else None


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[AsyncEngine]:
    made = engine(make_database("intake"), "test")
    yield made
    await made.dispose()


def service(database: AsyncEngine, folder: Path) -> Service:
    ring = KeyRing(folder / "keys.yaml")
    uses = KeyUsage(ring, database, KEY_USES)
    app = create_app("intake", "A test", ring, {})
    app.include_router(routes)
    app.include_router(uses.routes())
    return Service(uses, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))


async def test_the_last_use_survives_the_process_and_is_visible_to_the_tenants_administrators(
    database: AsyncEngine, tmp_path: Path
) -> None:
    (admin, first), (reader, second) = issue("acme", (ADMIN,)), issue("acme", (TICKETS_READ,))
    stranger, third = issue("default", (ADMIN,))
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(first, second, third)))
    one = service(database, tmp_path)
    assert await one.last(admin, reader) is None
    began = datetime.now(UTC)
    await one.get("/v1/things", reader)
    used = await one.last(admin, reader)
    assert used is not None
    assert began <= datetime.fromisoformat(used) <= datetime.now(UTC)
    await one.uses.save()
    another = service(database, tmp_path)  # started later, or a replica
    assert await another.last(admin, reader) == used
    await another.get("/v1/things", reader)
    await one.uses.save()  # has nothing newer, and overwrites nothing
    assert str(await another.last(admin, reader)) > used
    listed = await another.get("/v1/keys", admin)
    assert "sha256" not in str(listed)
    assert [item["id"] for item in listed["items"]] == [first.id, second.id]
    assert [item["id"] for item in (await another.get("/v1/keys", stranger))["items"]] == [third.id]
    await another.get("/v1/keys", reader, 403)
    for each in (one, another):
        await each.client.aclose()


async def test_uses_that_could_not_be_stored_are_stored_later(database: AsyncEngine, tmp_path: Path) -> None:
    admin, entry = issue("default")
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(entry,)))
    one = service(database, tmp_path)
    await one.get("/v1/things", admin)
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE key_uses RENAME TO away"))
    with pytest.raises(DBAPIError):
        await one.uses.save()
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO key_uses"))
    await one.uses.save()
    assert await service(database, tmp_path).uses.load() != {}
    await one.client.aclose()
