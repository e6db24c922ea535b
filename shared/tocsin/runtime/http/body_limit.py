"""Limits of request bodies: size, media type, time to arrive, and how many may arrive at once in one process.

Starlette's `max_body_size` bounds only the size of a body. Time, number and total memory have to be limited at the same
place in the receive channel, so all of it is here.
"""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from tocsin.runtime.http.plain_request import ARRIVED
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.metrics import REQUESTS_SHED

BODY_SECONDS: Final = 30.0
LEAST_RATE: Final = 100_000
"""A whole body must arrive within BODY_SECONDS, and one more second for each LEAST_RATE bytes."""

MOST_BODIES: Final = 200
"""Bodies of one process that may be arriving at the same time."""
MOST_BYTES: Final = 128_000_000
"""Bytes of bodies that one process holds before it refuses a new body. Bodies that began earlier may use twice that."""


async def read_body(request: Request) -> bytes:
    """The body, as `request.body()` in a third of its time. Raises ClientDisconnect, and what `RequestBody` raises."""
    parts = []
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


class BodyPool:
    """All request bodies of a process that are arriving, or held until the response is sent.

    If too many are arriving, the oldest is aborted: clients that never finish a body cannot lock out the others.
    """

    def __init__(self) -> None:
        self.arriving: dict[RequestBody, None] = {}
        self.held_bytes = 0

    def add(self, body: "RequestBody") -> None:
        """Raises HTTPException 503 if the process holds too many bytes already."""
        self.check_memory(MOST_BYTES)
        while len(self.arriving) >= MOST_BODIES:
            oldest = next(iter(self.arriving))
            del self.arriving[oldest]
            oldest.abort()
        self.arriving[body] = None

    def check_memory(self, limit: int) -> None:
        """Raises HTTPException 503 if the process holds `limit` bytes or more."""
        if self.held_bytes >= limit:
            REQUESTS_SHED.inc()
            raise HTTPException(503, "Too much request data in flight. Retry.", {"Retry-After": "1"})


class RequestBody:
    """The body of one request: a receive channel that enforces the limits. `limit` is its size in bytes."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, pool: BodyPool) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._arrived_with_head = ARRIVED in scope.get("extensions", ())
        self._headers = headers
        self._limit = limit
        self._pool = pool
        self._size = 0
        self._started_at: float | None = None
        self._aborted = False
        self._timeout: asyncio.Timeout | None = None
        self.is_empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._complete = self.is_empty

    @property
    def has_arrived(self) -> bool:
        """Whether the whole body is known to have arrived, even if it was not received yet."""
        return self._complete or self._arrived_with_head

    def check_length(self) -> None:
        """Raise Problem 413 if the declared length exceeds the limit."""
        length = self._headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > self._limit:
            raise Problem(413, self._too_large())

    def check_json(self) -> None:
        """Raise Problem 415 unless the body is empty or declared as JSON in UTF-8."""
        media_type, *parameters = (part.strip().lower() for part in self._headers.get("content-type", "").split(";"))
        charsets = {part.replace('"', "") for part in parameters if part.startswith("charset")}
        if not self.is_empty and (media_type != "application/json" or charsets - {"charset=utf-8"}):
            raise Problem(
                415, "Send JSON with `Content-Type: application/json`.", headers={"Accept": "application/json"}
            )

    async def receive(self) -> Message:
        """The next part of the body. Raises HTTPException 408, 413 or 503."""
        if self._complete:
            return await self._receive()
        if self._started_at is None:
            self._pool.add(self)
            self._started_at = asyncio.get_running_loop().time()
        try:
            if self._arrived_with_head:  # a timeout takes longer than to return what is there
                message = await self._receive()
            else:
                async with asyncio.timeout_at(self._deadline()) as self._timeout:
                    message = await self._receive()
        except TimeoutError:
            if self._aborted:
                REQUESTS_SHED.inc()
                raise HTTPException(503, "Too many request bodies in flight. Retry.", {"Retry-After": "1"}) from None
            raise HTTPException(408) from None
        finally:
            self._timeout = None
        self._count(message)
        if self._size > self._limit:
            raise HTTPException(413, self._too_large())
        if not self._complete:
            self._pool.check_memory(2 * MOST_BYTES)
        return message

    async def drain(self, seconds: float) -> bool:
        """Discard the rest of the body for at most `seconds`. True if the whole body has arrived."""
        if self.has_arrived:
            return True
        if "expect" in self._headers:
            return self._complete  # the client waits for 100 Continue and has not sent the body
        try:
            async with asyncio.timeout(seconds):
                while not self._complete:
                    self._complete = not (await self._receive()).get("more_body", False)
        except TimeoutError:
            return False
        return True

    def abort(self) -> None:
        """Respond with 503 instead of reading on."""
        self._aborted = True
        if self._timeout is not None:
            self._timeout.reschedule(0)

    def release(self) -> None:
        """Stop counting the bytes of this body. Call it after the response."""
        if self._started_at is not None:
            self._pool.held_bytes -= self._size
            self._pool.arriving.pop(self, None)
            self._started_at = None

    def _count(self, message: Message) -> None:
        size = len(message.get("body", b""))
        self._size += size
        self._complete = not message.get("more_body", False)
        if self._started_at is not None:
            self._pool.held_bytes += size
            if self._complete:
                self._pool.arriving.pop(self, None)

    def _deadline(self) -> float:
        if self._aborted:
            return 0.0
        return (self._started_at or 0.0) + BODY_SECONDS + self._size / LEAST_RATE

    def _too_large(self) -> str:
        return f"The request body exceeds the limit of {self._limit:,} bytes."
