"""A cheap HTTP load generator, to measure a server on the same machine."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

BEGUN = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "
ENDLESS = (b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"X-More: " + b"x" * 8000 + b"\r\n"] * 5)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The status and seconds of each request, and the seconds of the whole run."""

    statuses: Sequence[int]
    seconds: Sequence[float]
    duration: float

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.duration


def percentile(seconds: Sequence[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Connection:
    """A keep-alive connection to a server on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> int:
        """Send a request and return the response status, once the whole response is read."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(int(length[15:]))
        return int(head[9:12])


async def exchange(port: int, *parts: bytes, seconds: float = 5) -> bytes:
    """Send these parts on a new connection, and return everything that the server sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)  # so that each part arrives alone
    answer = await asyncio.wait_for(reader.read(), seconds)
    writer.close()
    return answer


def post(path: str, key: str, body: bytes) -> bytes:
    """The bytes of a POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def run_load(
    port: int, callers: int, count: int, request: Callable[[int], bytes], *, per_second: float | None = None
) -> LoadResult:
    """`count` requests from this many concurrent callers; each sends its next request after the last response.

    All callers are connected before the first request, so connecting is not measured. With `per_second`, the requests
    are sent at this rate, as long as a caller is free.
    """
    waiting = iter(range(count))
    statuses: list[int] = []
    seconds: list[float] = []

    async def caller(connection: Connection) -> None:
        for number in waiting:
            if per_second is not None:
                await asyncio.sleep(started + number / per_second - time.perf_counter())
            payload = request(number)
            began = time.perf_counter()
            statuses.append(await connection.send(payload))
            seconds.append(time.perf_counter() - began)

    async with AsyncExitStack() as connected:
        connections = [await connected.enter_async_context(Connection(port)) for _ in range(callers)]
        started = time.perf_counter()
        await asyncio.gather(*map(caller, connections))
        return LoadResult(statuses, seconds, time.perf_counter() - started)
