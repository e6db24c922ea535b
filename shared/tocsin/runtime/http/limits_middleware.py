"""The outermost layer of an application, pure ASGI: what concerns every request whatever its route."""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import unquote_plus, unquote_to_bytes

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.body_limit import Bodies, Body
from tocsin.runtime.http.problems import Problem, field_errors
from tocsin.runtime.metrics import REQUESTS_SHED

log = structlog.get_logger(__name__)

DEFAULT_LIMIT: Final = 1_000_000
MOST_HEADERS: Final = 100
HEADER_BYTES: Final = 32 * 1024
MOST_REQUESTS: Final = 1000
"""Requests in progress in one process beyond which another is sent away."""
LINGER_SECONDS: Final = 1.0
"""How long an answered connection is kept for the rest of what its caller is still sending."""

_ALWAYS: Final = ("/livez", "/readyz", "/metrics")
_ADDED: Final = "tocsin.headers"


def add_headers(scope: MutableMapping[str, Any], headers: Mapping[str, str]) -> None:
    """Give the answer to this request further headers, whatever the answer will be."""
    scope.setdefault(_ADDED, {}).update(headers)


class LimitsMiddleware:
    """Refuses what is too large, too slow, too much, no JSON or no text, and answers 500 or 503 for what nobody caught.

    `limits` gives the bytes allowed to a path and all below it, the longest winning; `free_form` are prefixes below
    which any content type and any query may come.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int], free_form: tuple[str, ...] = ()) -> None:
        self.app = app
        self._limits = sorted(limits.items(), key=lambda entry: -len(entry[0]))
        self._free_form = free_form
        self._bodies = Bodies()
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = closes = False
        body = Body(receive, Headers(scope=scope), self._limit(scope["path"]), self._bodies)

        async def sending(message: Message) -> None:
            nonlocal started, closes
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                headers.update(scope.get(_ADDED, {}))
                closes = not await body.drain(0)
                if closes:
                    headers["Connection"] = "close"  # the rest of the body is not worth waiting for
                message["headers"] = headers.raw
            elif closes and not message.get("more_body", False):
                # Closed at once, the rest that is on its way here would reset the connection, and the answer with it.
                await send({**message, "more_body": True})
                await body.drain(LINGER_SECONDS)
                message = {"type": "http.response.body"}
            await send(message)

        self._requests += 1
        try:
            self._check(scope)
            body.check_length()
            if not scope["path"].startswith(self._free_form or "\0"):
                body.check_json()
                _check_address(scope)
            await self.app(scope, body.receive, sending)
        except ClientDisconnect:
            log.info("caller_gone", method=scope["method"])
        except Exception as error:  # the edge of a request: logged, and answered without a word of the error's own
            if started:
                raise
            await _answer(error, scope)(scope, receive, sending)
        finally:
            self._requests -= 1
            body.forget()

    def _check(self, scope: Scope) -> None:
        headers = scope["headers"]
        _check_framing(scope)
        if len(headers) > MOST_HEADERS:
            raise Problem(431, f"A request may have {MOST_HEADERS} headers.")
        target = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        if target + sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
            raise Problem(431, f"A request's address and headers may have {HEADER_BYTES} bytes.")
        if self._requests > MOST_REQUESTS and scope["path"] not in _ALWAYS:
            REQUESTS_SHED.inc()
            raise Problem(503, "Too much is asked at once. Try again.", headers={"Retry-After": "1"})

    def _limit(self, path: str) -> int:
        return next(
            limit for prefix, limit in self._limits if path == prefix or path.startswith(f"{prefix}/") or not prefix
        )


def _check_framing(scope: Scope) -> None:
    """RFC 9112 6.1: where it is unclear how long a body is, whatever lies between may have read another one than we did
    (request smuggling), and what follows on this connection may be anybody's.

    h11 refuses lengths that differ, and codings other than chunked, by itself.
    """
    names = {name for name, _ in scope["headers"]}
    old = scope.get("http_version", "1.1") < "1.1"
    if b"transfer-encoding" in names and (old or b"content-length" in names):
        detail = "Send `Content-Length` or, in HTTP/1.1, `Transfer-Encoding: chunked`, and not both."
        raise Problem(400, detail, headers={"Connection": "close"})


def _check_address(scope: Scope) -> None:
    """What is no UTF-8 would be read as U+FFFD, and another thing looked for than was asked for."""
    query = scope.get("query_string", b"").split(b"&")
    wrong = [("query", unquote_plus(part.split(b"=")[0].decode("latin-1"))) for part in query if not _is_text(part)]
    if not _is_text(scope.get("raw_path", b"")):
        wrong.append(("path", "path"))
    if wrong:
        errors = field_errors([{"loc": where, "type": "value_error", "msg": "must be UTF-8"} for where in wrong])
        raise Problem(422, "Some fields are wrong.", errors=errors)


def _is_text(escaped: bytes) -> bool:
    try:
        unquote_to_bytes(escaped).decode()
    except UnicodeDecodeError:
        return False
    return True


def _answer(error: Exception, scope: Scope) -> ASGIApp:
    if isinstance(error, Problem):
        return error.response()
    route = getattr(scope.get("route"), "path", "")  # not the path: it may hold what is nobody's business
    if is_transient(error):
        log.error("request_failed", route=route, method=scope["method"], error=repr(error))
        return Problem(503, "The database does not answer. Try again.", headers={"Retry-After": "1"}).response()
    log.exception("request_failed", route=route, method=scope["method"])
    return Problem(500, "This is our fault, and logged. Try again.").response()
