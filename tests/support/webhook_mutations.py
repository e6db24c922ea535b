"""Recorded webhooks with some values replaced by ones that no tool should send."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from support.webhook_recordings import recordings

ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    7,
    1 << 63,
    1 << 200,
    1e308,
    0.1,
    "",
    " ",
    "7",
    "\x00",
    "a\x00b",
    "\ud800",
    "é" * 20_000,
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.9999999Z",
    "1900-01-01T00:00:00",
    "2026-06-08T12:00:60Z",
    "2026-02-30T12:00:00+99:99",
    "2026-06-08T12:00:00.123456789012345678901Z",
    [],
    {},
    [[]],
    {"id": {"id": 1}, "name": [1]},
    [{"id": 1}, None, 3],
)


def mutated_delivery(random: Random, provider: str) -> bytes:
    """A recording of the tool with changed values, and sometimes changed bytes."""
    data = _mutated(random, json.loads(random.choice(recordings(provider))))
    raw = json.dumps(data, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")
    if random.random() < 0.25:
        where = random.randint(0, len(raw))
        raw = raw[:where] + random.randbytes(random.randint(0, 4)) + raw[where + random.randint(0, 4) :]
    if random.random() < 0.1:
        raw = raw.replace(b"{", b'{"id":1,"id":2,', 1)
    return raw


def _mutated(random: Random, whole: Any) -> Any:
    whole = copy.deepcopy(whole)
    for _ in range(random.randint(1, 3)):
        places = [path for path in _places(whole) if path]
        if not places:
            return copy.deepcopy(random.choice(ODD))
        *path, last = random.choice(places)
        parent = whole
        for name in path:
            parent = parent[name]
        change = random.choice(("odd", "drop", "text", "inside"))
        if change == "drop":
            del parent[last]
        elif change == "text":
            parent[last] = "".join(random.choice("aZ0-:T. /\\\"'{}[]é\u2028\x1f") for _ in range(random.randint(0, 30)))
        elif change == "inside" and (inside := _data(parent[last])):
            parent[last] = json.dumps(_mutated(random, inside))
        else:
            parent[last] = copy.deepcopy(random.choice(ODD))
    return whole


def _data(value: object) -> object:
    """The value of a text that contains JSON itself; None for other texts."""
    try:
        return json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from _places(item, (*path, name))
