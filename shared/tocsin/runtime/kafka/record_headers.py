"""A Kafka record as it lies in a table: headers packed losslessly into bytes."""

from base64 import b64decode, b64encode
from collections.abc import Sequence

import orjson

Headers = Sequence[tuple[str, bytes]]


def pack(headers: Headers) -> bytes:
    """Headers as bytes that no column type can spoil."""
    return orjson.dumps([(name, b64encode(value or b"").decode()) for name, value in headers])


def unpack(packed: bytes) -> list[tuple[str, bytes]]:
    """The headers that `pack` was given."""
    return [(name, b64decode(value)) for name, value in orjson.loads(packed)]


def header(headers: Headers, name: str) -> bytes | None:
    """The value of the first header of that name."""
    return next((value for key, value in headers if key == name), None)


def ticket_of(key: bytes | None) -> str | None:
    """The ticket a record is about, for logs: its key, whatever it really holds."""
    return None if key is None else key.decode(errors="replace")[:80]
