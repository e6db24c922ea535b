"""The outermost layer of an application, pure ASGI: what concerns every request whatever its route."""

import asyncio
from collections.abc import Mapping

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.runtime.database import is_transient
from tocsin.runtime.problems import Problem

log = structlog.get_logger(__name__)

DEFAULT_LIMIT = 1_000_000
_BODY_SECONDS = 30.0


class Edge:
    """Refuses bodies that are too large, too slow or no JSON, and answers 500 or 503 for what nobody caught.

    `limits` gives the bytes allowed to a path and all below it, the longest winning; `free_form` are prefixes below
    which any content type may come.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], free_form: tuple[str, ...] = ()) -> None:
        self.app = app
        self._limits = sorted(limits.items(), key=lambda entry: -len(entry[0]))
        self._free_form = free_form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            body = _Body(receive, Headers(scope=scope), self._limit(scope["path"]))
            if not scope["path"].startswith(self._free_form or "\0"):
                body.check_json()
            await self.app(scope, body.receive, sending)
        except Exception as error:  # the edge of a request: logged, and answered without a word of the error's own
            if started:
                raise
            await _answer(error, scope)(scope, receive, send)

    def _limit(self, path: str) -> int:
        return next(
            limit for prefix, limit in self._limits if path == prefix or path.startswith(f"{prefix}/") or not prefix
        )


class _Body:
    """A request's body as it comes in, counted and timed."""

    def __init__(self, receive: Receive, headers: Headers, limit: int) -> None:
        self._receive = receive
        self._headers = headers
        self._limit = limit
        self._size = 0
        self._complete = False
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            raise self._too_large()

    def check_json(self) -> None:
        empty = self._headers.get("content-length", "0") == "0" and "transfer-encoding" not in self._headers
        media_type, *parameters = (part.strip().lower() for part in self._headers.get("content-type", "").split(";"))
        charsets = {part.replace('"', "") for part in parameters if part.startswith("charset")}
        if not empty and (media_type != "application/json" or charsets - {"charset=utf-8"}):
            raise Problem(
                415, "Send JSON with `Content-Type: application/json`.", headers={"Accept": "application/json"}
            )

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        self._complete = not message.get("more_body", False)
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise HTTPException(413)
        return message

    def _too_large(self) -> Problem:
        return Problem(413, f"A body may have {self._limit} bytes here.")


def _answer(error: Exception, scope: Scope) -> ASGIApp:
    if isinstance(error, Problem):
        return error.response()
    if is_transient(error):
        log.error("request_failed", path=scope["path"], method=scope["method"], error=repr(error))
        return Problem(503, "The database does not answer. Try again.", headers={"Retry-After": "1"}).response()
    log.exception("request_failed", path=scope["path"], method=scope["method"])
    return Problem(500, "This is our fault, and logged. Try again.").response()
