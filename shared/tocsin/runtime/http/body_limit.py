"""A request's body as it comes in: counted, timed, and never too many of them at once."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from tocsin.runtime.http.problems import Problem
from tocsin.runtime.metrics import REQUESTS_SHED

BODY_SECONDS: Final = 30.0
LEAST_RATE: Final = 100_000
"""A whole body comes within so many seconds, and one more for each so many bytes."""

MOST_BODIES: Final = 200
MOST_BYTES: Final = 128_000_000
"""How many bodies may be on their way at once, and how much of them may be held, in one process.

Bodies that began before may go on to twice that much.
"""


class Bodies:
    """All bodies of a process that are on their way in, or held while their request is answered.

    Where one is too many the one that has been coming in for longest is given up: whoever sends bodies that never end
    keeps nobody else out.
    """

    def __init__(self) -> None:
        self.unfinished: dict[Body, None] = {}
        self.held = 0

    def begin(self, body: "Body") -> None:
        """Raises HTTPException 503 where too much is held already."""
        self.check(MOST_BYTES)
        while len(self.unfinished) >= MOST_BODIES:
            oldest = next(iter(self.unfinished))
            del self.unfinished[oldest]
            oldest.give_up()
        self.unfinished[body] = None

    def check(self, most: int) -> None:
        """Raises HTTPException 503 where so much is held."""
        if self.held >= most:
            REQUESTS_SHED.inc()
            raise HTTPException(503, "Too much is sent at once. Try again.", {"Retry-After": "1"})


class Body:
    """One of them."""

    def __init__(self, receive: Receive, headers: Headers, limit: int, bodies: Bodies) -> None:
        self._receive = receive
        self._headers = headers
        self._limit = limit
        self._bodies = bodies
        self._size = 0
        self._begun: float | None = None
        self._given_up = False
        self._waiting: asyncio.Timeout | None = None
        self.empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._complete = self.empty

    def check_length(self) -> None:
        """Raise Problem 413 where it says that it is too large."""
        length = self._headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > self._limit:
            raise Problem(413, self._too_large())

    def check_json(self) -> None:
        """Raise Problem 415 unless it is empty or says that it is JSON."""
        media_type, *parameters = (part.strip().lower() for part in self._headers.get("content-type", "").split(";"))
        charsets = {part.replace('"', "") for part in parameters if part.startswith("charset")}
        if not self.empty and (media_type != "application/json" or charsets - {"charset=utf-8"}):
            raise Problem(
                415, "Send JSON with `Content-Type: application/json`.", headers={"Accept": "application/json"}
            )

    async def receive(self) -> Message:
        """The next part of it. Raises HTTPException 408, 413, 503."""
        if self._complete:
            return await self._receive()
        if self._begun is None:
            self._bodies.begin(self)
            self._begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._deadline()) as self._waiting:
                message = await self._receive()
        except TimeoutError:
            if self._given_up:
                REQUESTS_SHED.inc()
                raise HTTPException(503, "Too many bodies are sent at once. Try again.", {"Retry-After": "1"}) from None
            raise HTTPException(408) from None
        finally:
            self._waiting = None
        self._count(message)
        if self._size > self._limit:
            raise HTTPException(413, self._too_large())
        if not self._complete:
            self._bodies.check(2 * MOST_BYTES)
        return message

    async def drain(self, seconds: float) -> bool:
        """Throw away what comes within so many seconds of a body that nobody wants; whether that was all of it."""
        if "expect" in self._headers:
            return self._complete  # whoever waits to be asked for the body has not sent it
        try:
            async with asyncio.timeout(seconds):
                while not self._complete:
                    self._complete = not (await self._receive()).get("more_body", False)
        except TimeoutError:
            return False
        return True

    def give_up(self) -> None:
        """Have it answered as one of too many."""
        self._given_up = True
        if self._waiting is not None:
            self._waiting.reschedule(0)

    def forget(self) -> None:
        """The request is over."""
        if self._begun is not None:
            self._bodies.held -= self._size
            self._bodies.unfinished.pop(self, None)
            self._begun = None

    def _count(self, message: Message) -> None:
        size = len(message.get("body", b""))
        self._size += size
        self._complete = not message.get("more_body", False)
        if self._begun is not None:
            self._bodies.held += size
            if self._complete:
                self._bodies.unfinished.pop(self, None)

    def _deadline(self) -> float:
        if self._given_up:
            return 0.0
        return (self._begun or 0.0) + BODY_SECONDS + self._size / LEAST_RATE

    def _too_large(self) -> str:
        return f"A body may have {self._limit} bytes here."
