"""The outermost ASGI middleware: limits that hold for every route, and a response for every uncaught error."""

import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus, unquote_to_bytes

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.body_limit import BodyPool, RequestBody
from tocsin.runtime.http.load_shedding import Admission, CountedLog, Place
from tocsin.runtime.http.problems import Problem, invalid_fields
from tocsin.runtime.metrics import REQUESTS_SHED
from tocsin.validation import FieldError

log = structlog.get_logger(__name__)

DEFAULT_LIMIT: Final = 1_000_000
"""The largest body in bytes, unless `limits` has another one for the path."""
MOST_HEADERS: Final = 100
HEADER_BYTES: Final = 32 * 1024
"""The limit of the address and all headers together."""
MOST_REQUESTS: Final = 1000
"""Requests in progress in one process; further ones get 503."""
LINGER_SECONDS: Final = 1.0
"""How long a connection stays open after an early response, for the rest of the request's body."""

_NEVER_SHED: Final = ("/livez", "/readyz", "/metrics")
_RESPONSE_HEADERS: Final = "tocsin.headers"
_BUSY: Final = "The server is busy. Retry."


OnTooLarge = Callable[[Scope], None]
"""Called with the scope of a request that got 413."""


def add_headers(scope: MutableMapping[str, Any], headers: Mapping[str, str]) -> None:
    """Add headers to the response of this request, whatever the response will be."""
    scope.setdefault(_RESPONSE_HEADERS, {}).update(headers)


class LimitsMiddleware:
    """Enforces limits of size, time, concurrency, media type and encoding; maps uncaught errors to 500 or 503.

    `limits` has the largest body in bytes by path prefix; the longest matching prefix counts. Below the `free_form`
    prefixes a body need not be JSON, and the address need not be UTF-8. `admissions` admit POST requests by path
    prefix: requests of one kind share one. A request is in its admission from the arrival of its whole body to the
    start of its response: clients that send or read slowly take no place, and do not count for the measured rate.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Mapping[str, int],
        free_form: tuple[str, ...] = (),
        admissions: Mapping[str, Admission] | None = None,
        on_too_large: OnTooLarge | None = None,
    ) -> None:
        self.app = app
        self._admissions = _longest_first(admissions or {})
        self._shed_log = CountedLog(log.warning)
        self._failure_log = CountedLog(log.error)
        self._on_too_large = on_too_large
        self._limits = _longest_first(limits)
        self._free_form = free_form
        self._bodies = BodyPool()
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        response_started = closes = False
        place: Place | None = None
        body = RequestBody(scope, receive, self._body_limit(scope["path"]), self._bodies)

        async def send_bounded(message: Message) -> None:
            nonlocal response_started, closes
            if message["type"] == "http.response.start":
                response_started = True
                if place is not None:
                    place.leave()
                more = scope.get(_RESPONSE_HEADERS, {})
                closes = not await body.drain(0)
                if closes:
                    more = {**more, "Connection": "close"}  # the rest of the body is not worth waiting for
                if more:
                    headers = MutableHeaders(raw=list(message.get("headers", ())))
                    headers.update(more)
                    message["headers"] = headers.raw
                if message["status"] == 413 and self._on_too_large is not None:
                    self._on_too_large(scope)
            elif closes and not message.get("more_body", False):
                # Closing at once would reset the connection while the client still sends, and lose the response.
                await send({**message, "more_body": True})
                await body.drain(LINGER_SECONDS)
                message = {"type": "http.response.body"}
            await send(message)

        self._requests += 1
        try:
            self._check_request(scope)
            place = self._place(scope, body)
            body.check_length()
            if not scope["path"].startswith(self._free_form or "\0"):
                body.check_json()
                _check_encoding(scope)
            await self.app(scope, self._admitting(body, place), send_bounded)
        except ClientDisconnect:
            log.info("client_disconnected", method=scope["method"])
        except Exception as error:  # the edge of a request: log it, and respond without the error's own text
            if response_started:
                raise
            await self._error_response(error, scope)(scope, receive, send_bounded)
        finally:
            self._requests -= 1
            if place is not None:
                place.leave()
            body.release()

    def _check_request(self, scope: Scope) -> None:
        headers = scope["headers"]
        _check_framing(scope)
        if len(headers) > MOST_HEADERS:
            raise Problem(431, f"Too many headers (limit {MOST_HEADERS}).")
        address = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
        if address + sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
            raise Problem(431, f"The address and headers exceed the limit of {HEADER_BYTES:,} bytes.")
        if self._requests > MOST_REQUESTS and scope["path"] not in _NEVER_SHED:
            raise self._shed("Too many concurrent requests. Retry.", 1)

    def _place(self, scope: Scope, body: RequestBody) -> Place | None:
        """The request's place, if its kind has an admission; entered if the body has arrived. Raises Problem 503."""
        admission = _by_prefix(self._admissions, scope["path"]) if scope["method"] == "POST" else None
        if admission is None:
            return None
        place = Place(admission)
        if not (place.enter() if body.has_arrived else admission.is_open):
            raise self._shed(_BUSY, admission.expected_wait)
        return place

    def _admitting(self, body: RequestBody, place: Place | None) -> Receive:
        """The body's receive channel. At its last part the request enters its place, or HTTPException 503 is raised."""
        if place is None or body.has_arrived:
            return body.receive

        async def receive() -> Message:
            message = await body.receive()
            if message["type"] == "http.request" and body.has_arrived and not place.enter():
                problem = self._shed(_BUSY, place.admission.expected_wait)
                raise HTTPException(problem.status, _BUSY, problem.headers)  # FastAPI would make a Problem a 400
            return message

        return receive

    def _shed(self, detail: str, seconds: float) -> Problem:
        REQUESTS_SHED.inc()
        self._shed_log.add("requests_shed", detail=detail, in_progress=self._requests)
        return Problem(503, detail, headers={"Retry-After": str(max(1, math.ceil(seconds)))})

    def _body_limit(self, path: str) -> int:
        limit = _by_prefix(self._limits, path)
        assert limit is not None  # the empty prefix has one
        return limit

    def _error_response(self, error: Exception, scope: Scope) -> ASGIApp:
        if isinstance(error, Problem):
            return error.response()
        route = getattr(scope.get("route"), "path", "")  # not the requested path: it may hold a secret
        if is_transient(error):
            self._failure_log.add("request_failed", route=route, method=scope["method"], error=repr(error))
            return Problem(503, "The database does not respond. Retry.", headers={"Retry-After": "1"}).response()
        log.exception("request_failed", route=route, method=scope["method"])
        return Problem(500, "Internal error. It was logged; retry later.").response()


Limit = TypeVar("Limit")


def _longest_first(limits: Mapping[str, Limit]) -> list[tuple[str, Limit]]:
    return sorted(limits.items(), key=lambda entry: -len(entry[0]))


def _by_prefix(limits: Sequence[tuple[str, Limit]], path: str) -> Limit | None:
    """That of the first prefix that the path begins with, in whole segments."""
    for prefix, limit in limits:
        if (path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/")) or not prefix:
            return limit
    return None


def _check_framing(scope: Scope) -> None:
    """Refuse ambiguous body lengths (RFC 9112, 6.1): a proxy may have read a different body (request smuggling).

    h11 itself refuses contradicting lengths and transfer codings other than chunked, `strict_lines` the rest. A target
    that is not a path, such as `http://host/path`, is for proxies.
    """
    if not scope["path"].startswith("/"):
        raise Problem(400, "The request target must be a path.", headers={"Connection": "close"})
    version = scope.get("http_version", "1.1")
    if version not in ("1.0", "1.1"):
        raise Problem(505, "Send HTTP/1.1.", headers={"Connection": "close"})
    names = {name for name, _ in scope["headers"]}
    is_old = version == "1.0"
    if b"transfer-encoding" in names and (is_old or b"content-length" in names):
        detail = "Send either `Content-Length` or `Transfer-Encoding: chunked` (not with HTTP/1.0)."
        raise Problem(400, detail, headers={"Connection": "close"})


def _check_encoding(scope: Scope) -> None:
    """Refuse an address that is not UTF-8: it would be decoded to U+FFFD, and match something else."""
    query = scope.get("query_string", b"").split(b"&")
    wrong = [unquote_plus(part.split(b"=")[0].decode("latin-1")) for part in query if not _is_utf8(part)]
    if not _is_utf8(scope.get("raw_path", b"")):
        wrong.append("path")
    if wrong:
        raise invalid_fields([FieldError(field=name[:200], message="must be UTF-8") for name in wrong])


def _is_utf8(escaped: bytes) -> bool:
    try:
        unquote_to_bytes(escaped).decode()
    except UnicodeDecodeError:
        return False
    return True
