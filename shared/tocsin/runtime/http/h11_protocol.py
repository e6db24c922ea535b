"""uvicorn's h11 protocol with bounds it lacks: how many connections, and how long a request's headers may take."""

import asyncio
import sys
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakKeyDictionary

import h11
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tocsin.runtime.http.limits_middleware import LINGER_SECONDS
from tocsin.runtime.http.problems import MEDIA_TYPE, Problem

HEADER_SECONDS = 10.0
MOST_CONNECTIONS = 2000


class BoundedH11(H11Protocol):
    """Closes a connection that opened, or began a request, and did not finish its headers within 10 s.

    One too many costs the connection that has been idle for longest, never the newest: whoever opens connections and
    says nothing keeps nobody else out. Only where each has a request in progress is the newest refused. That, headers
    that began and did not come in time, and what cannot be read as a request, are answered by a problem.
    """

    _deadline: asyncio.TimerHandle | None = None
    _refused = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._idle = _IDLE.setdefault(server_state, {})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._idle[self] = None
        oldest = next(iter(self._idle))
        if len(self.connections) > MOST_CONNECTIONS and oldest is not self:
            oldest._give_way()
        if len(self.connections) - len(self._idle) >= MOST_CONNECTIONS:
            self._refuse(Problem(503, "Too many connections. Try again.", headers={"Retry-After": "1"}))
        else:
            self._expect_headers()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        self._expect_headers()
        self._mark()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._began:  # it came with the request that has just been answered
            self._expect_headers()
        self._mark()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._idle.pop(self, None)
        super().connection_lost(exc)

    @property
    def _began(self) -> bool:
        """Whether some of a request has come that is not whole yet."""
        return bool(self.conn.trailing_data[0])

    def _mark(self) -> None:
        """Bytes that make no request leave it idle since when it was, so that a byte now and then gains nothing."""
        if self.cycle is None or self.cycle.response_complete:
            self._idle.setdefault(self)
        else:
            self._idle.pop(self, None)

    def _give_way(self) -> None:
        del self._idle[self]
        # Counted no more from now on: many may come before the loop tells of the first that it is lost.
        self.connections.discard(self)
        # Whoever does not even read the last answer would stay for ever where it is first to be sent whole.
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        error = sys.exc_info()[1]  # uvicorn calls this while it handles what h11 raised
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == 431:
            self._refuse(Problem(431, "The headers of this request are too large."))
        else:
            self._refuse(Problem(400, "This is no HTTP request that can be read."))

    def _refuse(self, problem: Problem) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content = orjson.dumps(problem.as_dict())
            headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), "Connection": "close"}
            told = h11.Response(
                status_code=problem.status,
                headers=list((headers | problem.headers).items()),
                reason=HTTPStatus(problem.status).phrase,
            )
            for event in (told, h11.Data(content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Closed at once, what is still on its way here would reset the connection, and the answer with it."""
        self._forget()
        self._refused = True
        self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _expect_headers(self) -> None:
        """The clock runs from the first byte, or the connection, until the headers are whole."""
        if self._refused:
            return
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, *_: Any) -> None:
        self._deadline = None
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            return
        if self._began:
            self._refuse(Problem(408, "The headers of this request came too slowly."))
        else:
            self.transport.close()


_IDLE: Final[MutableMapping[ServerState, dict[BoundedH11, None]]] = WeakKeyDictionary()
"""The connections of each server that have no request in progress, the one that has been so for longest first."""
