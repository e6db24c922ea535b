"""A query parameter that a route does not declare is 422 with its name, on every route of every service."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from support.service_apps import SERVICES, build_service
from tocsin.runtime.http.api_keys import SCOPES, KeyFile, issue, write_keys

DECORATED: Final = {
    "get /ack/{token}",
    "post /ack/{token}",
    "post /v1/hooks/{provider}/{tenant}",
    "post /v1/hooks/email/{tenant}",
}
"""Others than the caller add parameters to these addresses: mail scanners, and the tools that send webhooks."""
UNDOCUMENTED: Final = ("get /docs", "get /openapi.json")
TICKET: Final = "1f2179db-15df-5301-954e-79cce3c08d79"

each_service = pytest.mark.parametrize("service", SERVICES)


@pytest.fixture
async def app(service: str, tmp_path: Path) -> FastAPI:
    return build_service(service, "postgresql+asyncpg://nobody@127.0.0.1:1/nothing", tmp_path).app


@pytest.fixture
async def client(app: FastAPI, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    text, entry = issue("default", SCOPES)
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(entry,)))
    headers = {"Authorization": f"Bearer {text}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as made:
        yield made


@each_service
async def test_an_unknown_parameter_is_named_on_every_route(client: httpx.AsyncClient, app: FastAPI) -> None:
    """There is no database: a call that went further than its parameters would be 503."""
    for name in (*strict_calls(app), *UNDOCUMENTED):
        answer = await call(client, name, "custmer=nobody&severity%20=1")
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, name
        assert [error["field"] for error in answer.json()["errors"]] == ["custmer", "severity "], name


@each_service
async def test_a_repeated_parameter_is_named_on_every_route(client: httpx.AsyncClient, app: FastAPI) -> None:
    for name, operation in strict_calls(app).items():
        for parameter in (each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"):
            answer = await call(client, name, f"{parameter}=1&{parameter}=1")
            assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, name
            assert answer.json()["errors"] == [{"field": parameter, "message": "is given more than once"}], name


@each_service
async def test_a_documented_parameter_is_not_unknown(client: httpx.AsyncClient, app: FastAPI) -> None:
    for name, operation in strict_calls(app).items():
        for parameter in (each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"):
            answer = await call(client, name, f"{parameter}=1")
            assert "is not known here" not in answer.text, name


@each_service
async def test_every_strict_call_documents_422(app: FastAPI) -> None:
    for name, operation in strict_calls(app).items():
        assert "application/problem+json" in operation["responses"]["422"]["content"], name


@each_service
async def test_a_missing_or_wrong_key_is_reported_first(client: httpx.AsyncClient, app: FastAPI) -> None:
    client.headers["Authorization"] = "Bearer wrong"
    for name in (name for name, operation in operations(app) if operation.get("security")):
        assert (await call(client, name, "custmer=nobody")).status_code == httpx.codes.UNAUTHORIZED, name


@pytest.mark.parametrize("service", ["intake"])
async def test_a_decorated_address_is_served_as_if_it_were_plain(client: httpx.AsyncClient, app: FastAPI) -> None:
    assert set(dict(operations(app))) >= DECORATED
    for name in (*DECORATED, "head /ack/{token}"):
        plain = await call(client, name, "")
        decorated = await call(client, name, "utm_source=mail&utm_source=scanner&recordId=7")
        assert (decorated.status_code, decorated.text) == (plain.status_code, plain.text), name
        assert decorated.status_code == httpx.codes.NOT_FOUND, name


def operations(app: FastAPI) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def strict_calls(app: FastAPI) -> dict[str, dict[str, Any]]:
    return {name: operation for name, operation in operations(app) if name not in DECORATED}


async def call(client: httpx.AsyncClient, name: str, query: str) -> httpx.Response:
    method, _, path = name.partition(" ")
    for parameter in ("{ticket_id}", "{letter_id}", "{delivery_id}"):
        path = path.replace(parameter, TICKET if parameter == "{ticket_id}" else "7")
    return await client.request(method, f"{path}?{query}", json={} if method == "post" else None)
