"""Headers of a Kafka record, packed losslessly into the bytes of one column."""

from collections.abc import Sequence

import orjson

Headers = Sequence[tuple[str, bytes]]


def pack(headers: Headers) -> bytes:
    """Headers as one value of a bytea column."""
    # Latin-1 has a character for every byte.
    return orjson.dumps([(name, (value or b"").decode("latin-1")) for name, value in headers])


def unpack(packed: bytes) -> list[tuple[str, bytes]]:
    """The headers that were packed."""
    return [(name, value.encode("latin-1")) for name, value in orjson.loads(packed)]


def header(headers: Headers, name: str) -> bytes | None:
    """The value of the first header with this name."""
    return next((value for key, value in headers if key == name), None)


def ticket_of(key: bytes | None) -> str | None:
    """The record key as text for logs. It is the ticket id, unless the record is malformed."""
    return None if key is None else key.decode(errors="replace")[:80]
