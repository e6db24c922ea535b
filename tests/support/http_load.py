"""Callers that cost next to nothing, for measuring a server that shares the machine with them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

BEGUN = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "
ENDLESS = (b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"X-More: " + b"x" * 8000 + b"\r\n"] * 5)


@dataclass(frozen=True, slots=True)
class Answered:
    """Statuses and seconds of all requests, and how long all of them took together."""

    statuses: Sequence[int]
    seconds: Sequence[float]
    duration: float

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.duration


def percentile(seconds: Sequence[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Line:
    """One kept connection to a server on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Line":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> int:
        """The status of the answer, which is read to its end."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(int(length[15:]))
        return int(head[9:12])


async def said(port: int, *parts: bytes, seconds: float = 5) -> bytes:
    """All that the server answers on a connection on which this is said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)  # so that it arrives by itself
    answer = await asyncio.wait_for(reader.read(), seconds)
    writer.close()
    return answer


def post(path: str, key: str, body: bytes) -> bytes:
    """A request as it goes over the line."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def together(port: int, callers: int, count: int, request: Callable[[int], bytes]) -> Answered:
    """`count` requests by so many callers at once, each of which waits for an answer before it asks again."""
    waiting = iter(range(count))
    statuses: list[int] = []
    seconds: list[float] = []

    async def caller(line: Line) -> None:
        async with line:
            for number in waiting:
                asked = request(number)
                began = time.perf_counter()
                statuses.append(await line.send(asked))
                seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    calls: list[Awaitable[None]] = [caller(Line(port)) for _ in range(callers)]
    await asyncio.gather(*calls)
    return Answered(statuses, seconds, time.perf_counter() - began)
