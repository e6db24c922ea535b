"""Headers of a Kafka record, packed losslessly into the bytes of one column."""

from base64 import b64decode, b64encode
from collections.abc import Sequence

import orjson

Headers = Sequence[tuple[str, bytes]]


def pack(headers: Headers) -> bytes:
    """Headers as one value of a bytea column."""
    return orjson.dumps([(name, b64encode(value or b"").decode()) for name, value in headers])


def unpack(packed: bytes) -> list[tuple[str, bytes]]:
    """The headers that were packed."""
    return [(name, b64decode(value)) for name, value in orjson.loads(packed)]


def header(headers: Headers, name: str) -> bytes | None:
    """The value of the first header with this name."""
    return next((value for key, value in headers if key == name), None)


def ticket_of(key: bytes | None) -> str | None:
    """The record key as text for logs. It is the ticket id, unless the record is malformed."""
    return None if key is None else key.decode(errors="replace")[:80]
