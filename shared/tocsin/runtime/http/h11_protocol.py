"""uvicorn's h11 protocol with strict lines, and with limits on connections and on the time for headers."""

import asyncio
import sys
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import h11
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tocsin.runtime.http.limits_middleware import LINGER_SECONDS
from tocsin.runtime.http.plain_request import ARRIVED, PlainCycle, PlainRequest, read_plain_request
from tocsin.runtime.http.problems import MEDIA_TYPE, Problem
from tocsin.runtime.http.strict_lines import make_strict

HEADER_SECONDS: Final = 10.0
"""A connection is closed if its next request's headers are not complete within this time."""
MOST_CONNECTIONS: Final = 2000
"""Connections of one process."""


PEER: Final = "peer"
"""In the state of each request: the address at the other end of the connection. `scope["client"]` is what a local proxy
says in `X-Forwarded-For`.
"""


class BoundedH11(H11Protocol):
    """Closes connections that are slow to send headers, and the longest idle one when there are too many.

    A new connection is refused (503) only if every other one has a request in progress: clients that open connections
    and send nothing cannot lock out the others. Refused connections, slow headers (408) and malformed requests (400,
    431) get a problem as response.
    """

    _timer: asyncio.TimerHandle | None = None
    _refused = False
    _missing = 0
    """Bytes of a plain request's body that have not arrived."""
    _later = b""
    """What arrived after a plain request, before its response was complete."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._lines = make_strict(self.conn)
        self._idle = _IDLE.setdefault(server_state, {})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, PEER: self.client[0] if self.client else ""}
        self._idle[self] = None
        longest_idle = next(iter(self._idle))
        if len(self.connections) > MOST_CONNECTIONS and longest_idle is not self:
            longest_idle._evict()
        if len(self.connections) - len(self._idle) >= MOST_CONNECTIONS:
            self._refuse(Problem(503, "Too many connections. Retry.", headers={"Retry-After": "1"}))
        else:
            self._expect_headers()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._plain_cycle is not None:
            self._receive_body(data)
            return
        request = read_plain_request(data) if self._is_between_requests else None
        if request is not None:
            self._receive_plain(request, data)
        else:
            super().data_received(data)
            self._expect_headers()
        self._update_idle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._later and self._plain_cycle is None and not self.transport.is_closing():
            later, self._later = self._later, b""
            self.data_received(later)
        if self._has_partial_request:  # it arrived together with the request whose response was just sent
            self._expect_headers()
        self._update_idle()

    @property
    def _is_between_requests(self) -> bool:
        return self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE and not self._has_partial_request

    @property
    def _plain_cycle(self) -> PlainCycle | None:
        """The plain request in progress, if any: its response is not complete, or a part of its body is missing."""
        if isinstance(self.cycle, PlainCycle) and (self._missing or not self.cycle.response_complete):
            return self.cycle
        return None

    def _receive_plain(self, request: PlainRequest, data: bytes) -> None:
        """Start a plain request, as uvicorn starts one that h11 has read."""
        self._unset_keepalive_if_required()
        self._cancel_timer()
        raw_path, _, query_string = request.target.partition(b"?")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": request.method,
            "root_path": "",
            "path": unquote(raw_path.decode()),
            "raw_path": raw_path,
            "query_string": query_string,
            "headers": request.headers,
            "state": self.app_state.copy(),
            "extensions": {ARRIVED: {}} if len(data) - request.size >= request.length else {},
        }
        self.headers = request.headers
        self.cycle = PlainCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self._missing = request.length
        if not request.length:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        self._receive_body(data[request.size :])
        task = self.loop.create_task(self.cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _receive_body(self, data: bytes) -> None:
        """Hand a part of a plain request's body to the application; keep what follows it for later."""
        if part := data[: self._missing]:
            self._missing -= len(part)
            if not self.cycle.response_complete:  # otherwise nobody reads the rest
                self.cycle.body += part
                self.cycle.more_body = self._missing > 0
                self.cycle.message_event.set()
        if after := data[len(part) :]:
            if self._plain_cycle is None:
                self.data_received(after)
                return
            self._later += after
        if after or len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        self._idle.pop(self, None)
        super().connection_lost(exc)

    @property
    def _has_partial_request(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def _update_idle(self) -> None:
        """Keep the place in the idle order unless a whole request arrived: single bytes now and then gain nothing."""
        if self.cycle is None or self.cycle.response_complete:
            self._idle.setdefault(self)
        else:
            self._idle.pop(self, None)

    def _evict(self) -> None:
        del self._idle[self]
        # Not counted from now on: many connections may arrive before the loop calls `connection_lost`.
        self.connections.discard(self)
        # Abort, not close: a client that never reads the last response would keep the connection open.
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        error = sys.exc_info()[1]  # uvicorn calls this while it handles h11's exception
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(Problem(431, "The request headers are too large."))
        else:
            self._refuse(Problem(400, self._lines.fault or "Malformed HTTP request."))

    def _refuse(self, problem: Problem) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content = orjson.dumps(problem.as_dict())
            headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), "Connection": "close"}
            response = h11.Response(
                status_code=problem.status,
                headers=list((headers | problem.headers).items()),
                reason=HTTPStatus(problem.status).phrase,
            )
            for event in (response, h11.Data(content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self._close_soon()
        else:
            self.transport.close()

    def _close_soon(self) -> None:
        """Close after a second: closing at once would reset the connection while the client still sends."""
        self._cancel_timer()
        self._refused = True
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _expect_headers(self) -> None:
        """Start the timer at the connection or the first byte; cancel it when the headers are complete."""
        if self._refused:
            return
        if self.conn.their_state is not h11.IDLE or self._plain_cycle is not None:
            self._cancel_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self._time_out)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self, *_: Any) -> None:
        self._timer = None
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            return
        if self._has_partial_request:
            self._refuse(Problem(408, "The request headers arrived too slowly."))
        else:
            self.transport.close()


_IDLE: Final[MutableMapping[ServerState, dict[BoundedH11, None]]] = WeakKeyDictionary()
"""The connections of each server that have no request in progress, longest idle first."""
