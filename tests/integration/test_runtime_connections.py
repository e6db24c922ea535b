"""Connections on a real socket: slow, idle, too many or malformed ones are closed, with a problem if possible."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from support.http_load import BEGUN, ENDLESS, exchange
from support.polling import eventually
from tocsin.runtime.http import h11_protocol
from tocsin.runtime.http.h11_protocol import BoundedH11
from tocsin.runtime.http.limits_middleware import DEFAULT_LIMIT, LimitsMiddleware
from tocsin_local.loopback import free_port

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(_: Scope, __: Receive, send: Send) -> None:
    await asyncio.sleep(0.6)  # a slow response
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def serving(app: ASGIApp = app, *, idle_seconds: int = 5) -> AsyncIterator[int]:
    """A server with our protocol; gives its port."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=port,
            http=BoundedH11,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=idle_seconds,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)  # uvicorn has no event for it
    yield port
    server.should_exit = True
    await running


@pytest.mark.parametrize(
    ("data", "statuses"),
    [(b"", []), (BEGUN, [408]), (REQUEST, [204]), (REQUEST + BEGUN, [204, 408])],
    ids=["nothing", "some", "nothing after a request", "some after a request"],
)
async def test_headers_must_arrive_in_time(data: bytes, statuses: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h11_protocol, "HEADER_SECONDS", 0.3)
    async with serving(idle_seconds=1) as port:
        closed = asyncio.create_task(exchange(port, data))
        async with httpx.AsyncClient() as client:  # a request may take longer than its headers
            responses = await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/") for _ in range(3)))
        assert {response.status_code for response in responses} == {204}
        received = await closed
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)] == statuses
    if 408 in statuses:
        head, _, body = received[received.index(b"HTTP/1.1 408 ") :].partition(b"\r\n\r\n")
        assert b"\r\nContent-Type: application/problem+json\r\n" in head
        assert b"\r\nConnection: close" in head
        assert json.loads(body)["detail"] == "The request headers arrived too slowly."


async def test_endless_headers_and_malformed_requests_get_a_problem() -> None:
    async with serving() as port:
        endless = await exchange(port, *ENDLESS)
        nonsense = await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert endless.startswith(b"HTTP/1.1 431 ")
    assert nonsense.startswith(b"HTTP/1.1 400 ")
    for response in (endless, nonsense):
        assert b"application/problem+json" in response
        assert b"xxx" not in response
        assert b"hello" not in response


class BlockedApp:
    """An application that responds only when the test allows it."""

    def __init__(self) -> None:
        self.started = asyncio.Semaphore(0)
        self.may_respond = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started.release()
        await self.may_respond.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


SIZE = 20_000_000  # more than the buffers of a connection hold
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[..., Awaitable[Connection]]


@pytest.fixture
async def connected() -> AsyncIterator[Connect]:
    """Opens connections, and sends bytes at once."""
    opened: list[Connection] = []

    async def connect(port: int, data: bytes = b"") -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append((reader, writer))
        writer.write(data)
        return reader, writer

    yield connect
    for _, writer in opened:
        writer.close()


async def status_line(connection: Connection, data: bytes = b"") -> bytes:
    """The status line of the response to these bytes; empty if the server closed the connection."""
    reader, writer = connection
    writer.write(data)
    head = await asyncio.wait_for(reader.readline(), 5)
    if head:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return head


async def test_too_many_connections_close_the_longest_idle_one(
    connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h11_protocol, "MOST_CONNECTIONS", 3)
    async with serving() as port:
        kept, silent, started = await connected(port), await connected(port), await connected(port)
        assert (await status_line(kept, REQUEST)).startswith(b"HTTP/1.1 204 ")  # idle again
        started[1].write(b"GET / HTTP/1.1\r\nHost: ")
        newest = [await connected(port), await connected(port)]
        assert await status_line(silent) == b""
        assert await status_line(started) == b""
        for each in (*newest, kept):
            assert (await status_line(each, REQUEST)).startswith(b"HTTP/1.1 204 ")


async def test_many_silent_connections_do_not_lock_out_requests(
    connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h11_protocol, "MOST_CONNECTIONS", 5)
    async with serving() as port:
        await asyncio.gather(*(connected(port) for _ in range(50)))
        assert (await status_line(await connected(port, REQUEST))).startswith(b"HTTP/1.1 204 ")


async def test_a_connection_with_a_request_in_progress_is_never_evicted(
    connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h11_protocol, "MOST_CONNECTIONS", 2)
    held = BlockedApp()
    async with serving(held) as port:
        busy = [await connected(port, REQUEST)]
        await asyncio.wait_for(held.started.acquire(), 5)
        silent = await connected(port)
        busy.append(await connected(port, REQUEST))
        await asyncio.wait_for(held.started.acquire(), 5)
        assert await status_line(silent) == b""
        for _ in range(2):  # all are busy: only now the newest is refused
            refused = await exchange(port)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1" in refused
        held.may_respond.set()
        for each in (*busy, await connected(port, REQUEST)):
            assert (await status_line(each)).startswith(b"HTTP/1.1 204 ")


async def test_a_client_that_does_not_read_its_response_is_evicted_too(
    connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h11_protocol, "MOST_CONNECTIONS", 1)

    async def large(scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * (SIZE if scope["path"] == "/large" else 1)})

    async with serving(large) as port:
        reader, _ = await connected(port, REQUEST.replace(b"/", b"/large", 1))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert (await status_line(await connected(port, REQUEST))).startswith(b"HTTP/1.1 200 ")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(SIZE), 5)


AMBIGUOUS_LENGTHS = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5, 6",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity\r\nContent-Length: 5",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"X-Folded: a\r\n\tb\r\nTransfer-Encoding: chunked",
    b" X-First: continued\r\nTransfer-Encoding: chunked",
    b"X-Bare: a\nTransfer-Encoding: chunked",
    b"X-Bare: a\rTransfer-Encoding: chunked",
    b"X-Nul: a\x00b\r\nTransfer-Encoding: chunked",
    b"X-Control: a\x01b\r\nTransfer-Encoding: chunked",
    b"X-Delete: a\x7fb\r\nTransfer-Encoding: chunked",
    b"X-\x1bName: a\r\nTransfer-Encoding: chunked",
    b"Host: y\r\nTransfer-Encoding: chunked",
    b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nTransfer-Encoding: chunked",
]


async def test_a_request_of_ambiguous_length_is_rejected_and_nothing_after_it_is_read() -> None:
    seen: list[str] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await app(scope, receive, send)

    async with serving(LimitsMiddleware(noting, {"": DEFAULT_LIMIT})) as port:
        head = b"POST /first HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        smuggled = b"\r\n\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n"
        responses = await exchange_all(port, [head + framing + smuggled for framing in AMBIGUOUS_LENGTHS])
    for framing, response in zip(AMBIGUOUS_LENGTHS, responses, strict=True):
        assert response.startswith(b"HTTP/1.1 400 "), framing
        assert response.count(b"HTTP/1.1 ") == 1, framing
        assert b"\r\nconnection: close\r\n" in response.lower(), framing
        assert b"application/problem+json" in response, framing
    assert seen == []


async def exchange_all(port: int, requests: Sequence[bytes]) -> list[bytes]:
    """What the server answers to each of these requests, each on a connection of its own."""
    return await asyncio.gather(*(exchange(port, request) for request in requests))


ODD_REQUESTS = [
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\n",
    b"\r\n" * 9,
]


async def test_a_request_that_a_proxy_may_read_otherwise_is_rejected() -> None:
    async with serving(LimitsMiddleware(app, {"": DEFAULT_LIMIT})) as port:
        responses = await exchange_all(port, [request + REQUEST for request in ODD_REQUESTS])
        newer = await exchange(port, REQUEST.replace(b"1.1", b"2.0"))
    for request, response in zip(ODD_REQUESTS, responses, strict=True):
        assert response.startswith(b"HTTP/1.1 400 "), request
        assert response.count(b"HTTP/1.1 ") == 1, request
    assert newer.startswith(b"HTTP/1.1 505 ")


AMBIGUOUS_CHUNKS = [
    b"0\r\n\n",
    b"1\nx\r\n0\r\n\r\n",
    b"1 \r\nx\r\n0\r\n\r\n",
    b"1;a\rb\r\nx\r\n0\r\n\r\n",
    b"0x1\r\nx\r\n0\r\n\r\n",
    b"1\r\nxy0\r\n\r\n",
    b"0\r\nX-Trailer: a\n\n",
    b"0\r\nX-Trailer: a\r\n b\r\n\r\n",
]


async def test_bytes_after_an_ambiguous_chunk_or_trailer_are_never_read() -> None:
    seen: list[str] = []

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await app(scope, receive, send)

    async with serving(reading) as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        smuggled = b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
        responses = await exchange_all(port, [head + body + smuggled for body in AMBIGUOUS_CHUNKS])
    for body, response in zip(AMBIGUOUS_CHUNKS, responses, strict=True):
        assert b"HTTP/1.1 2" not in response, body
    assert set(seen) == {"/"}


async def test_a_wrong_chunk_is_rejected_before_its_line_ends() -> None:
    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await app(scope, receive, send)

    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    bodies = (b"2\n{}\n0\n\n", b"2\r{}\r0\r\r", b"x", b"2 ;a", b"2;\x01")
    async with serving(reading) as port:
        responses = await exchange_all(port, [head + body for body in bodies])
    for response in responses:
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nConnection: close\r\n" in response
        assert b"A chunk must begin with its size" in response


async def test_a_few_empty_lines_before_a_request_are_ignored() -> None:
    last = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving() as port:
        for pieces in ([b"\r\n" + last], [b"\r", b"\n", b"\r\n\r", b"\n" + last], [REQUEST + b"\r\n" * 8 + last]):
            response = await exchange(port, *pieces)
            assert response.startswith(b"HTTP/1.1 204 ")
            assert response.count(b"HTTP/1.1 ") == b"".join(pieces).count(b"HTTP/1.1")


async def test_the_reason_of_a_rejection_says_what_to_change_and_repeats_nothing() -> None:
    async with serving() as port:
        folded = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Secret: hello\r\n world\r\n\r\n")
        plain = await exchange(port, *REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n").splitlines(True))
    assert b"A header must be on one line" in folded
    assert b"hello" not in folded
    assert plain.startswith(b"HTTP/1.1 204 ")


async def test_http_1_0_has_no_chunked_bodies() -> None:
    async with serving(LimitsMiddleware(app, {"": DEFAULT_LIMIT})) as port:
        response = await exchange(port, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 400 ")


async def test_a_client_rejected_before_its_body_arrived_gets_the_response_instead_of_a_reset() -> None:
    async with serving(LimitsMiddleware(app, {"": DEFAULT_LIMIT})) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 300000\r\n\r\n")
        # The response arrives before the client sends the body: it has written only the head.
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        for _ in range(3):
            writer.write(b"x" * 100_000)
            await writer.drain()
        rest = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert head.startswith(b"HTTP/1.1 415 ")
    assert b"\r\nconnection: close\r\n" in head.lower()
    assert b"application/json" in rest


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds with the path and the body in several parts; without their length for /chunked."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    content = scope["path"].encode() + b"=" + body + b";"
    length = [] if scope["path"] == "/chunked" else [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await send({"type": "http.response.body"})


def plain(path: bytes, body: bytes, *more: bytes) -> bytes:
    lines = (b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *more)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_requests_of_one_connection_are_answered_in_their_order_however_they_are_cut() -> None:
    by_h11 = REQUEST.replace(b"Host: x", b"Host: x\r\nX-Tab: a\tb")
    last = plain(b"/last", b"e" * 200_000, b"Connection: close")
    whole = plain(b"/a", b"abc") + by_h11 + plain(b"/b", b"") + plain(b"/chunked", b"d" * 100) + by_h11 + last
    cuts: Sequence[Sequence[int]] = (
        [],
        [20],
        [len(plain(b"/a", b"ab"))],
        [3, 90, 91, 150, 260, 400],
        list(range(0, 500, 7)),
    )
    async with serving(echo) as port:
        received = [
            await exchange(port, *(whole[begin:end] for begin, end in zip([0, *cut], [*cut, len(whole)], strict=True)))
            for cut in cuts
        ]
    for response in received:
        assert response.count(b"HTTP/1.1 200 ") == 6
        assert response.endswith(b"/last=" + b"e" * 200_000 + b";")
        assert re.findall(rb"(/[a-z]*)=", response) == [b"/a", b"/", b"/b", b"/chunked", b"/", b"/last"]


async def test_a_body_that_the_application_does_not_read_is_not_taken_for_a_request() -> None:
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    seen: list[str] = []

    async def ignoring(scope: Scope, _: Receive, send: Send) -> None:
        seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    head, body = plain(b"/first", hidden * 2).split(b"\r\n\r\n", 1)
    async with serving(ignoring) as port:
        await exchange(port, head + b"\r\n\r\n", body[:20], body[20:] + plain(b"/second", b"", b"Connection: close"))
    assert seen == ["/first", "/second"]


async def test_a_response_header_cannot_contain_a_line_break() -> None:
    async def splitting(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nSet-Cookie: b")]})

    async with serving(splitting) as port:
        response = await exchange(port, REQUEST)
    assert b"Set-Cookie" not in response
