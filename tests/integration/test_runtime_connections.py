"""Connections that say nothing, or never finish saying it, are closed."""

import asyncio

import httpx
import pytest
import uvicorn
from tocsin.runtime import connections
from tocsin.runtime.connections import BoundedH11
from tocsin_local.processes import free_port


async def app(scope: dict[str, str], receive: object, send: object) -> None:
    await asyncio.sleep(0.6)
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body"})  # type: ignore[operator]


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_headers_must_come_in_time(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, http=BoundedH11, ws="none", lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with httpx.AsyncClient() as client:  # a request that takes longer than the headers may is served
        answers = await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/") for _ in range(3)))
    assert {answer.status_code for answer in answers} == {204}
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    server.should_exit = True
    await serving
