"""Requests in the form that nearly all clients send, read and answered without h11, which takes more CPU time.

What is not plain, h11 reads. So this module accepts less than h11 and `strict_lines` do, and decides no question that a
proxy may answer in another way (docs/decisions/0045-plain-requests-and-direct-routes.md).
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

_HEAD_BYTES: Final = 8 * 1024
_HEAD: Final = re.compile(rb"(GET|POST) (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[ -~]*\r\n){1,50})\r\n")
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,8}")
_NOT_PLAIN: Final = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer"))
_CLOSED_EARLY: Final = (b"connection", b"close")
_WITHOUT_BODY: Final = (204, 304)
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """The head of a request; header names are in lower case. `size`: bytes of the head, `length`: bytes of the body."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    size: int
    length: int


def read_plain_request(data: bytes) -> PlainRequest | None:
    """The request that begins with `data`; None if it is not plain or its head is not complete.

    A plain request is a GET or POST of a path by HTTP/1.1. Its head is short, of printable ASCII and lines in CR LF; no
    header occurs twice; `Host` is there, and `Content-Length` is the only statement about the body.
    """
    found = _HEAD.match(data, 0, _HEAD_BYTES)
    if found is None:
        return None
    method, target, lines = found.groups()
    headers = []
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" ")))
    values = dict(headers)
    if len(values) < len(headers) or b"host" not in values or not _NOT_PLAIN.isdisjoint(values):
        return None
    length = values.get(b"content-length", b"0")
    if not _LENGTH.fullmatch(length) or values.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return PlainRequest(method.decode(), target, headers, found.end(), int(length))


ARRIVED: Final = "tocsin.body_arrived"
"""An extension in the scope of a request whose whole body has arrived: `receive` returns it without waiting."""


class PlainCycle(RequestResponseCycle):
    """A plain request and its response: `send` writes a small response at once, `receive` is uvicorn's."""

    _head = b""
    _is_chunked = False
    _closes = False
    _has_body = True

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the response. Raises RuntimeError for a part out of order, or a line break in a header."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started and message["type"] == "http.response.start":
            self.response_started = True
            self._start(message["status"], list(message.get("headers", ())))
        elif self.response_started and not self.response_complete and message["type"] == "http.response.body":
            self._write(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"unexpected ASGI message {message['type']}")

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        headers = [*self.default_headers, *headers]
        self._has_body = status not in _WITHOUT_BODY
        self._closes = _CLOSED_EARLY in [(name.lower(), value.lower()) for name, value in headers]
        self._is_chunked = self._has_body and all(name.lower() != b"content-length" for name, _ in headers)
        if self._is_chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        self._head = b"".join((_STATUS_LINES[status], *lines, b"\r\n"))
        if self._head.count(b"\n") != len(lines) + 2 or self._head.count(b"\r") != len(lines) + 2:
            raise RuntimeError("a response header contains a line break")

    def _write(self, body: bytes, *, more: bool) -> None:
        if not self._has_body:
            body = b""
        elif self._is_chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        self.transport.write(self._head + body)
        self._head = b""
        if more:
            return
        self.response_complete = True
        self.message_event.set()
        if self._closes or not self.keep_alive:
            self.transport.close()
        self.on_response()
