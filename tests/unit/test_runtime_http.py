"""The HTTP application: problem responses, strict JSON, API keys, health, OpenAPI."""

import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from unittest.mock import Mock

import httpx
import pytest
from fastapi import APIRouter, Depends
from openapi_spec_validator import validate
from pydantic import BaseModel
from tocsin.runtime.http.api_keys import (
    TICKETS_READ,
    TICKETS_WRITE,
    Caller,
    KeyFile,
    KeyRing,
    add_key,
    issue,
    write_keys,
)
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse, ResponseModel, page_length
from tocsin.validation import FieldError


class Contact(BaseModel):
    email: str


class Thing(BaseModel):
    contact: Contact
    events: list[Contact] = []


router = APIRouter(prefix="/v1")


@router.post("/things")
@router.post("/things/batch")
async def post(thing: Thing, caller: Annotated[Caller, Depends(require(TICKETS_WRITE))]) -> JsonResponse:
    return JsonResponse({"tenant": caller.tenant, "email": thing.contact.email}, 201)


@router.get("/things/{number}")
async def get(number: int) -> JsonResponse:
    if number == 1:
        raise Problem(409, "Not now.", errors=[FieldError(field="number", message="is one")])
    if number == 2:
        raise RuntimeError("secret words")
    if number == 3:
        raise OSError("secret words")
    return JsonResponse({})


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


@pytest.fixture
async def client(keys: Path) -> AsyncIterator[httpx.AsyncClient]:
    async def hangs_not() -> str | None:
        return None

    async def lacks() -> str | None:
        return "does not response"

    ring = KeyRing(keys)
    app = create_app(
        "intake", "A test", ring, {"kafka": hangs_not, "database": lacks}, body_limits={"/v1/things/batch": 2_000_000}
    )
    app.include_router(router)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


@pytest.fixture
def key(keys: Path) -> dict[str, str]:
    text, entry = issue("acme")
    add_key(keys, entry)
    return {"Authorization": f"Bearer {text}"}


def is_problem(response: httpx.Response, status: int) -> dict[str, object]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert "secret" not in response.text
    return body


async def test_every_error_is_a_problem(client: httpx.AsyncClient, key: dict[str, str]) -> None:
    is_problem(await client.get("/nowhere"), 404)
    assert is_problem(await client.get("/v1/things/1"), 409)["errors"] == [{"field": "number", "message": "is one"}]
    is_problem(await client.get("/v1/things/2"), 500)
    assert (await client.get("/v1/things/3")).headers["retry-after"] == "1"
    is_problem(await client.get("/v1/things/3"), 503)
    refused = await client.put("/v1/things/1")
    is_problem(refused, 405)
    assert "GET" in refused.headers["allow"]
    is_problem(await client.get("/v1/things/2/"), 404)  # not a redirect, which would send the key again
    is_problem(await client.post("/v1/things", content=b"{", headers={**key, "Content-Type": "application/json"}), 400)


async def test_invalid_fields_are_named_as_in_the_request(client: httpx.AsyncClient, key: dict[str, str]) -> None:
    body = {"contact": {"email": ["secret"]}, "events": [{"email": "a"}, {}]}
    assert is_problem(await client.post("/v1/things", json=body, headers=key), 422)["errors"] == [
        {"field": "contact.email", "message": "Input should be a valid string"},
        {"field": "events[1].email", "message": "is missing"},
    ]
    response = await client.get("/v1/things/one")
    assert is_problem(response, 422)["errors"] == [
        {"field": "number", "message": "Input should be a valid integer, unable to parse string as an integer"}
    ]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/json; charset=latin-1", ""])
async def test_other_media_types_are_rejected(kind: str, client: httpx.AsyncClient, key: dict[str, str]) -> None:
    response = await client.post("/v1/things", content=b"{}", headers={**key, "Content-Type": kind})
    is_problem(response, 415)


@pytest.mark.parametrize("kind", ["Application/JSON", "application/json; charset=UTF-8", "application/json; version=1"])
async def test_parameters_of_the_json_media_type_are_accepted(
    kind: str, client: httpx.AsyncClient, key: dict[str, str]
) -> None:
    content = b'{"contact": {"email": "a@b.c"}}'
    assert (await client.post("/v1/things", content=content, headers={**key, "Content-Type": kind})).status_code == 201


async def test_the_list_of_invalid_fields_is_bounded(client: httpx.AsyncClient, key: dict[str, str]) -> None:
    body: dict[str, list[dict[str, str]]] = {"contact": [], "events": [{}] * 1000}
    errors = is_problem(await client.post("/v1/things", json=body, headers=key), 422)["errors"]
    assert isinstance(errors, list)
    assert errors[0] == {"field": "contact", "message": "must be an object"}
    assert len(errors) == 500


class Line(ResponseModel):
    text: str


def test_a_page_ends_after_a_megabyte_and_has_at_least_one_item() -> None:
    small, large = Line(text="x"), Line(text="x" * 400_000)
    assert page_length([small] * 6, 5) == 5
    assert page_length([small] * 3, 5) == 3
    assert page_length([large] * 6, 5) == 2
    assert page_length([Line(text="x" * 2_000_000), small], 5) == 1
    assert page_length([], 5) == 0


async def test_the_body_limit_depends_on_the_path(client: httpx.AsyncClient, key: dict[str, str]) -> None:
    long = {"contact": {"email": "x" * 1_500_000}}

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(15):
            yield b"x" * 100_000

    is_problem(await client.post("/v1/things", json=long, headers=key), 413)
    assert (await client.post("/v1/things/batch", json=long, headers=key)).status_code == 201
    streamed = await client.post("/v1/things", content=chunks(), headers={**key, "Content-Type": "application/json"})
    is_problem(streamed, 413)


async def test_a_key_gives_access_by_its_scopes(client: httpx.AsyncClient, keys: Path) -> None:
    good = {"contact": {"email": "a@b.c"}}

    async def posted(text: str) -> httpx.Response:
        return await client.post("/v1/things", json=good, headers=[(b"Authorization", text.encode())])

    text, entry = issue("acme")
    denied = await posted(f"Bearer {text}")
    is_problem(denied, 401)
    assert 'error="invalid_token"' in denied.headers["www-authenticate"]
    add_key(keys, entry)  # takes effect immediately
    assert (await posted(f"Bearer {text}")).json()["tenant"] == "acme"
    for wrong in (text[:-1], text + "x", "tcs_", "", "é"):
        is_problem(await posted(f"Bearer {wrong}"), 401)
    is_problem(await posted(f"Basic {text}"), 401)
    assert "error" not in (await client.post("/v1/things", json=good)).headers["www-authenticate"]
    reader, reading = issue("acme", (TICKETS_READ,))
    expired, gone = issue("acme", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    write_keys(keys, KeyFile(keys=(reading, gone)))
    short = await posted(f"Bearer {reader}")
    is_problem(short, 403)
    assert 'scope="tickets:write"' in short.headers["www-authenticate"]
    over = await posted(f"Bearer {expired}")
    assert "expired" in str(is_problem(over, 401)["detail"])
    assert 'error_description="The key expired"' in over.headers["www-authenticate"]
    for guessed in (f"{expired[:-1]}-", text):  # the id of an expired key; a removed key
        refused = await posted(f"Bearer {guessed}")
        is_problem(refused, 401)
        assert (refused.content, refused.headers["www-authenticate"]) == (
            denied.content,
            denied.headers["www-authenticate"],
        )


def test_keys_are_compared_in_constant_time(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, entry = issue("acme")
    add_key(keys, entry)
    ring = KeyRing(keys)
    compared = Mock(wraps=hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", compared)
    for given in (text, f"{text[:-1]}-", f"tcs_nosuchid_{text[-40:]}", ""):
        ring.check(given)
    assert compared.call_count == 4


def test_the_key_file_contains_only_hashes_and_is_private(keys: Path) -> None:
    text, entry = issue("acme")
    add_key(keys, entry)
    assert text.rpartition("_")[2] not in keys.read_text()
    assert keys.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"keys: [{id: 1}]", "keys.yaml: keys[0].id:"),
        (b"keys: [", "keys.yaml is not YAML"),
        (b"keys: [] # M\xfcller", "keys.yaml cannot be read: it is not UTF-8"),
        (b"keys: [{created_at: 2026-99-99}]", "keys.yaml is not YAML"),
        (b"keys: [{id: !!bool x}]", "keys.yaml is not YAML"),
        (b"keys: " + b"[" * 500 + b"]" * 500, "keys.yaml is not YAML"),
    ],
)
async def test_an_invalid_key_file_keeps_the_last_valid_keys(
    content: bytes, problem: str, client: httpx.AsyncClient, keys: Path, key: dict[str, str]
) -> None:
    good = {"contact": {"email": "a@b.c"}}
    assert (await client.post("/v1/things", json=good, headers=key)).status_code == 201
    keys.write_bytes(content)  # noqa: ASYNC240 (a test has no other caller to hold up)
    assert (await client.post("/v1/things", json=good, headers=key)).status_code == 201
    assert (await client.get("/readyz")).json()["checks"]["keys"].startswith(problem)


async def test_readyz_names_the_failed_checks(client: httpx.AsyncClient, key: dict[str, str]) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"] == {"database": "does not response", "kafka": "ok", "keys": "ok"}
    assert "python_info" in (await client.get("/metrics")).text


async def test_openapi_is_valid_3_1(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    validate(described)
    post = described["paths"]["/v1/things"]["post"]
    assert set(post["responses"]["422"]["content"]) == {"application/problem+json"}
    assert post["security"]


def test_an_unknown_scope_is_rejected() -> None:
    with pytest.raises(ValueError, match="unknown scope"):
        require("tickets:erase")
    with pytest.raises(ValueError, match=r"Unknown scope all, everything\. Known are tickets:read, tickets:write"):
        issue("acme", ("everything", "all"))
