"""Connections that say nothing, or never finish saying it, are closed; what is no request is told so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from tocsin.runtime import connections
from tocsin.runtime.connections import BoundedH11
from tocsin.runtime.edge import DEFAULT_LIMIT, Edge
from tocsin_local.processes import free_port
from waiting import eventually


async def app(_: Scope, __: Receive, send: Send) -> None:
    await asyncio.sleep(0.6)  # an answer that takes its time
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(app: ASGIApp = app) -> AsyncIterator[int]:
    """A server with our protocol, on that port."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=port,
            http=BoundedH11,
            ws="none",
            lifespan="off",
            log_config=None,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)  # uvicorn has no event for it
    yield port
    server.should_exit = True
    await running


async def said(port: int, *parts: bytes) -> bytes:
    """All that the server answers on a connection on which this is said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)  # so that it arrives by itself
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_headers_must_come_in_time(words: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    async with serving() as port:
        closed = asyncio.create_task(said(port, words))
        async with httpx.AsyncClient() as client:  # a request that takes longer than the headers may is served
            answers = await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/") for _ in range(3)))
        assert {answer.status_code for answer in answers} == {204}
        assert await closed == b""


async def test_headers_without_end_and_what_is_no_request_are_told_so() -> None:
    async with serving() as port:
        endless = await said(port, b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"X-More: " + b"x" * 8000 + b"\r\n"] * 5)
        nonsense = await said(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert endless.startswith(b"HTTP/1.1 431 ")
    assert nonsense.startswith(b"HTTP/1.1 400 ")
    for answer in (endless, nonsense):
        assert b"application/problem+json" in answer
        assert b"xxx" not in answer
        assert b"hello" not in answer


async def test_one_connection_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    async with serving() as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        refused = await said(port)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in refused
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 204


async def test_who_is_refused_before_the_body_came_reads_the_answer_and_not_a_reset() -> None:
    async with serving(Edge(app, {"": DEFAULT_LIMIT})) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 300000\r\n\r\n")
        # The answer is there before the body: only then does the caller send it, as one does who wrote the head alone.
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        for _ in range(3):
            writer.write(b"x" * 100_000)
            await writer.drain()
        rest = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert head.startswith(b"HTTP/1.1 415 ")
    assert b"\r\nconnection: close\r\n" in head.lower()
    assert b"application/json" in rest
