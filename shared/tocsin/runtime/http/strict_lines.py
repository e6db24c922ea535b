"""Refuses headers that a proxy in front of us may read in another way (request smuggling).

h11 accepts folded headers, bare LF as the end of a line, most control characters, and equal Content-Length headers. It
has no option for that and hands out headers only after it has joined their lines, so this module looks at the lines as
they leave h11's buffer. The other way round, h11 rejects empty lines before a request, which RFC 9112 (2.2) says to
ignore.
"""

import re
from collections import Counter
from typing import Final

from h11 import IDLE, Connection, LocalProtocolError
from h11._receivebuffer import ReceiveBuffer

_BARE_BREAK: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_FOLDED: Final = re.compile(rb"\n[ \t]")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CHUNK_LINE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}(;[^\r\n]*)?\r\n")
_CHUNK_LINE_START: Final = re.compile(rb"([0-9A-Fa-f]{1,16}(;[^\r\n]*)?\r?)?")
_NAME: Final = re.compile(rb"\n([^\n:]*):")
_LENGTHS: Final = re.compile(rb"\ncontent-length:[^\n]*,", re.IGNORECASE)
_SENT_ONCE: Final = (b"authorization", b"content-length", b"content-type", b"idempotency-key")
_MOST_EMPTY_LINES: Final = 8
"""Before a request: some clients send one after a body. A client that sends nothing else gets 400."""


class StrictReceiveBuffer(ReceiveBuffer):
    """h11's buffer of received bytes. Raises LocalProtocolError, with the reason in `fault`, for an ambiguous line."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.fault: str | None = None
        """The fault of the request, for the client. It never repeats data of the client."""
        self._connection = connection
        self._extracted = bytearray()
        self._empty_lines = 0

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of a request's head or of its trailer, once they are complete."""
        if self._connection.their_state is IDLE:
            self._skip_empty_lines()
        lines = super().maybe_extract_lines()
        if lines is not None:
            self._empty_lines = 0
            self._refuse_if(_fault_of(self._extracted))
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """The line before a chunk, once it is complete. A wrong one is refused as soon as that can be seen."""
        line = super().maybe_extract_next_line()
        begun, valid = (self._data, _CHUNK_LINE_START) if line is None else (line, _CHUNK_LINE)
        if not valid.fullmatch(begun) or _CONTROL.search(begun):
            self._refuse_if("A chunk must begin with its size in hexadecimal digits and CR LF.")
        return line

    def is_next_line_obviously_invalid_request_line(self) -> bool:
        """Whether a request cannot begin like this. A single CR may become an empty line."""
        return self._data != b"\r" and super().is_next_line_obviously_invalid_request_line()

    def _skip_empty_lines(self) -> None:
        while self._data.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > _MOST_EMPTY_LINES:
                self._refuse_if("Too many empty lines before the request.")
            self._extract(2)

    def _extract(self, count: int) -> bytearray:
        self._extracted = super()._extract(count)
        return self._extracted

    def _refuse_if(self, fault: str | None) -> None:
        if fault is not None:
            self.fault = fault
            raise LocalProtocolError(fault)


def make_strict(connection: Connection) -> StrictReceiveBuffer:
    """Let the connection read through a strict buffer, which is returned."""
    buffer = StrictReceiveBuffer(connection)
    connection._receive_buffer = buffer
    return buffer


def _fault_of(lines: bytearray) -> str | None:
    if _BARE_BREAK.search(lines):
        return "Lines must end in CR LF."
    if _FOLDED.search(lines):
        return "A header must be on one line: folded headers are obsolete."
    if _CONTROL.search(lines):
        return "Headers must not contain control characters."
    if _LENGTHS.search(lines):
        return "The header content-length has more than one value."
    counts = Counter(name.lower() for name in _NAME.findall(lines))
    repeated = next((name for name in _SENT_ONCE if counts[name] > 1), None)
    return None if repeated is None else f"The header {repeated.decode()} is given more than once."
