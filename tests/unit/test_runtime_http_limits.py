"""Limits of HTTP requests: rate, failed authentication, headers, bodies, concurrency; and docs that work offline."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.types import Message, Scope
from support.metrics import counter_value
from support.polling import eventually
from tocsin.runtime.http import body_limit, limits_middleware, rate_limit
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller, KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.load_shedding import Admission
from tocsin.runtime.http.responses import JsonResponse

LIMIT = 3
KEYS = {
    name: issue("acme", (TICKETS_READ,), requests_per_minute=limit)
    for name, limit in (("free", None), ("limited", LIMIT), ("also", LIMIT))
}
AUTHORIZATION = {name: {"Authorization": f"Bearer {text}"} for name, (text, _) in KEYS.items()}

routes = APIRouter(prefix="/v1")
Reader = Annotated[Caller, Depends(require(TICKETS_READ))]


class Thing(BaseModel):
    name: str


@routes.get("/things")
async def get(caller: Reader) -> JsonResponse:
    return JsonResponse({})


@routes.post("/things")
async def post(caller: Reader, thing: Thing) -> JsonResponse:
    return JsonResponse({}, 201)


@routes.delete("/things")
async def delete(caller: Reader) -> JsonResponse:
    return JsonResponse({})


@pytest.fixture
def app(tmp_path: Path) -> Any:
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=tuple(entry for _, entry in KEYS.values())))
    made = create_app("intake", "A test", KeyRing(tmp_path / "keys.yaml"), {})
    made.include_router(routes)
    return made


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as made:
        yield made


async def test_a_key_over_its_rate_limit_gets_429_with_retry_after(client: httpx.AsyncClient) -> None:
    before = counter_value("sla_requests_limited_total")
    for left in (2, 1, 0):
        response = await client.get("/v1/things", headers=AUTHORIZATION["limited"])
        assert response.status_code == 200
        assert (response.headers["ratelimit-limit"], response.headers["ratelimit-remaining"]) == ("3", str(left))
        assert response.headers["ratelimit-policy"] == "3;w=60"
    refused = await client.get("/v1/things", headers=AUTHORIZATION["limited"])
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert 55 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-reset"] == refused.headers["retry-after"]
    assert refused.headers["ratelimit-remaining"] == "0"
    assert counter_value("sla_requests_limited_total") == before + 1
    assert (await client.get("/v1/things", headers=AUTHORIZATION["also"])).status_code == 200


async def test_a_key_without_a_limit_is_not_limited(client: httpx.AsyncClient) -> None:
    responses = [await client.get("/v1/things", headers=AUTHORIZATION["free"]) for _ in range(20)]
    assert {response.status_code for response in responses} == {200}
    assert "ratelimit-limit" not in responses[-1].headers


async def test_failed_authentication_is_counted_and_delayed_but_a_valid_key_never_is(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "DELAY_SECONDS", 60)
    monkeypatch.setattr(rate_limit, "MOST_DELAYED", 3)
    wrong = {"Authorization": "Bearer tcs_wrong123_secret"}
    before = counter_value("sla_keys_refused_total", reason="unknown")
    free = [await client.get("/v1/things", headers=wrong) for _ in range(rate_limit.FREE_ATTEMPTS)]
    assert {response.status_code for response in free} == {401}
    monkeypatch.setattr(rate_limit, "DELAY_SECONDS", 0.4)
    began = time.monotonic()
    slow = asyncio.gather(*(client.get("/v1/things", headers=wrong) for _ in range(5)))
    assert (await client.get("/v1/things", headers=AUTHORIZATION["free"])).status_code == 200
    assert not slow.done()
    statuses = sorted(response.status_code for response in await slow)
    assert statuses == [401, 401, 401, 429, 429]
    assert time.monotonic() - began >= 0.3
    assert counter_value("sla_keys_refused_total", reason="unknown") == before + rate_limit.FREE_ATTEMPTS + 5
    assert (await client.get("/v1/things")).status_code == 401  # without a key it is not an attempt


async def test_the_memory_for_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MOST_ADDRESSES", 20)
    limiter = rate_limit.FailedAuthLimiter()
    for number in range(100):
        await limiter.count_failure(f"2001:db8::{number:x}", "unknown")
        assert len(limiter._storage.events) <= 20


async def test_405_lists_every_method_of_the_path(client: httpx.AsyncClient) -> None:
    refused = await client.put("/v1/things")
    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE, GET, POST")
    assert (await client.post("/livez")).headers["allow"] == "GET"


async def test_docs_work_offline(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).raise_for_status()
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) == 3
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert '"validatorUrl": null' in page.text  # otherwise the script calls validator.swagger.io
    for path in loaded:
        assert path.startswith("/docs/")
        assert (await client.get(path)).status_code == 200
    assert (await client.get("/docs/files/../../core.py")).status_code == 404


async def test_headers_are_limited_in_number_and_size(client: httpx.AsyncClient) -> None:
    many = {f"X-{n}": "1" for n in range(limits_middleware.MOST_HEADERS)}
    for headers, words in ((many, "limit 100"), ({"X": "x" * 40_000}, "32,768 bytes")):
        refused = await client.get("/v1/things", headers=headers)
        assert refused.status_code == 431
        assert words in refused.json()["detail"]
    assert (await client.get("/v1/things", params={"q": "x" * 40_000})).status_code == 431


async def test_too_many_concurrent_requests_get_503_but_health_still_responds(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_middleware, "MOST_REQUESTS", 0)
    before = counter_value("sla_requests_shed_total")
    refused = await client.get("/v1/things", headers=AUTHORIZATION["free"])
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert counter_value("sla_requests_shed_total") == before + 1
    assert (await client.get("/livez")).status_code == 200


async def test_a_request_that_would_wait_too_long_gets_503_before_anything_else(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.yaml", KeyFile())
    admission = Admission(seconds=3, always=0, most=1)
    made = create_app("intake", "A test", KeyRing(tmp_path / "keys.yaml"), {}, admissions={"/v1/things": admission})
    made.include_router(routes)
    before = counter_value("sla_requests_shed_total")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://test") as client:
        admission.enter()
        refused = await client.post("/v1/things", content=b"[", headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "6")
        assert refused.headers["content-type"] == "application/problem+json"
        assert counter_value("sla_requests_shed_total") == before + 1
        assert (await client.get("/v1/things")).status_code == 401
        admission.leave()
        assert (await client.post("/v1/things", json={})).status_code == 401


class SlowRequest:
    """A request whose body arrives in the parts that the test sends."""

    def __init__(self, app: Any, headers: Mapping[str, str], method: str = "POST") -> None:
        self.parts: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.is_reading = asyncio.Event()
        self.is_reading.set()
        sent_headers = {"content-type": "application/json", "content-length": "1000", **headers}
        self._scope: Scope = {
            "type": "http",
            "method": method,
            "path": "/v1/things",
            "raw_path": b"/v1/things",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent_headers.items()],
        }
        self._app = app

    def part(self, body: bytes, *, last: bool = False) -> None:
        self.parts.put_nowait({"type": "http.request", "body": body, "more_body": not last})

    async def run(self) -> tuple[int, dict[bytes, bytes]]:
        async def send(message: Message) -> None:
            self.sent.append(message)
            await self.is_reading.wait()

        await self._app(self._scope, self.parts.get, send)
        return self.sent[0]["status"], dict(self.sent[0]["headers"])

    def problem(self) -> Any:
        return json.loads(b"".join(message.get("body", b"") for message in self.sent))


@pytest.fixture
def admission() -> Admission:
    """Admits two calls."""
    return Admission(seconds=2, always=0, most=2)


@pytest.fixture
def shedding_app(app: Any, admission: Admission) -> Any:
    made = create_app("intake", "A test", app.state.keys, {}, admissions={"/v1/things": admission})
    made.include_router(routes)
    return made


async def test_bodies_that_never_arrive_take_no_place(shedding_app: Any, admission: Admission) -> None:
    slow = [SlowRequest(shedding_app, AUTHORIZATION["free"]) for _ in range(20)]
    running = [asyncio.create_task(each.run()) for each in slow]
    for each in slow:
        each.part(b"{")
    await eventually(lambda: all(each.parts.empty() for each in slow))
    whole = SlowRequest(shedding_app, AUTHORIZATION["free"])
    whole.part(b'{"name":"x"}', last=True)
    assert (await whole.run())[0] == 201
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert [admission.enter() for _ in range(3)] == [True, True, False]


async def test_bodies_that_arrive_beyond_capacity_are_shed(shedding_app: Any, admission: Admission) -> None:
    slow = SlowRequest(shedding_app, AUTHORIZATION["free"])
    running = asyncio.create_task(slow.run())
    slow.part(b'{"name"')
    await eventually(slow.parts.empty)
    before = counter_value("sla_requests_shed_total")
    admission.enter()
    admission.enter()
    slow.part(b':"x"}', last=True)
    status, headers = await running
    assert (status, headers[b"retry-after"]) == (503, b"3")
    assert slow.problem()["detail"] == "The server is busy. Retry."
    assert (await SlowRequest(shedding_app, {}).run())[0] == 503  # at once, without its body
    assert counter_value("sla_requests_shed_total") == before + 2
    admission.leave()
    assert [admission.enter() for _ in range(2)] == [True, False]


async def test_a_client_that_disconnects_takes_no_place(shedding_app: Any, admission: Admission) -> None:
    for _ in range(3):
        slow = SlowRequest(shedding_app, AUTHORIZATION["free"])
        slow.part(b"{")
        slow.parts.put_nowait({"type": "http.disconnect"})
        await slow.run()
    assert [admission.enter() for _ in range(3)] == [True, True, False]


async def test_a_client_that_reads_slowly_takes_no_place(shedding_app: Any, admission: Admission) -> None:
    slow = [SlowRequest(shedding_app, AUTHORIZATION["free"]) for _ in range(2)]
    for each in slow:
        each.is_reading.clear()
        each.part(b'{"name":"x"}', last=True)
    running = [asyncio.create_task(each.run()) for each in slow]
    await eventually(lambda: all(each.sent for each in slow))
    assert [admission.enter() for _ in range(3)] == [True, True, False]
    for each in slow:
        each.is_reading.set()
    assert [(await task)[0] for task in running] == [201, 201]
    assert not admission.is_open


async def test_a_body_that_trickles_in_times_out_as_a_whole(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "BODY_SECONDS", 0.2)
    slow = SlowRequest(app, AUTHORIZATION["free"])
    running = asyncio.create_task(slow.run())
    while not running.done():
        slow.part(b" ")
        await asyncio.sleep(0.05)  # it trickles
    status, headers = await running
    assert status == 408
    assert headers[b"connection"] == b"close"
    assert slow.problem()["detail"] == "The request body arrived too slowly."


async def test_too_many_bodies_abort_the_oldest(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MOST_BODIES", 2)
    slow = [SlowRequest(app, AUTHORIZATION["free"]) for _ in range(3)]
    running = [asyncio.create_task(each.run()) for each in slow]
    before = counter_value("sla_requests_shed_total")
    for each in slow:
        each.part(b'{"name"')
    status, headers = await running[0]
    assert (status, headers[b"retry-after"], headers[b"connection"]) == (503, b"1", b"close")
    assert slow[0].problem()["detail"] == "Too many request bodies in flight. Retry."
    assert counter_value("sla_requests_shed_total") == before + 1
    for each in slow[1:]:
        each.part(b':"x"}', last=True)
    assert [(await response)[0] for response in running[1:]] == [201, 201]


async def test_the_memory_of_all_bodies_is_limited(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MOST_BYTES", 5)
    first, second = SlowRequest(app, AUTHORIZATION["free"]), SlowRequest(app, AUTHORIZATION["free"])
    running = asyncio.create_task(first.run())
    first.part(b'{"name"')
    await eventually(first.parts.empty)
    status, headers = await second.run()
    assert (status, headers[b"retry-after"]) == (503, b"1")
    first.part(b':"x"}', last=True)
    assert (await running)[0] == 201
    third = SlowRequest(app, AUTHORIZATION["free"])
    third.part(b'{"name":"x"}', last=True)
    assert (await third.run())[0] == 201


async def test_earlier_bodies_may_use_twice_the_memory_limit(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MOST_BYTES", 10)
    first, second = SlowRequest(app, AUTHORIZATION["free"]), SlowRequest(app, AUTHORIZATION["free"])
    running = [asyncio.create_task(each.run()) for each in (first, second)]
    for each in (first, second):
        each.part(b'{"name":')
    await eventually(lambda: first.parts.empty() and second.parts.empty())
    second.part(b'"' + b"x" * 20)
    assert (await running[1])[0] == 503
    first.part(b'"x"}', last=True)
    assert (await running[0])[0] == 201


async def test_a_connection_stays_open_if_the_body_of_a_refused_request_has_arrived(app: Any) -> None:
    whole, waiting = SlowRequest(app, {}, "DELETE"), SlowRequest(app, {}, "DELETE")
    whole.part(b"{}", last=True)
    assert (await whole.run())[0] == 401
    assert b"connection" not in dict(whole.sent[0]["headers"])
    waiting.part(b"{}")
    status, headers = await waiting.run()
    assert (status, headers[b"connection"]) == (401, b"close")
