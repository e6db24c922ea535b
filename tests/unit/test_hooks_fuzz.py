"""Whatever is delivered, an adapter reads it or says what is wrong with it; and what it reads can be taken in."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hook_recordings import PROVIDERS, recordings, shipped
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.hooks.adapters import ADAPTERS
from intake.hooks.mapping import Integration
from intake.hooks.opening import opening
from intake.hooks.shown import Unmapped, shown
from intake.hooks.sighting import Delivered, Sighting, Unreadable
from pydantic import ValidationError

NOW = datetime(2026, 6, 10, tzinfo=UTC)
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


def _places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from _places(item, (*path, name))


def _mutated(draw: st.DrawFn, whole: Any) -> Any:
    whole = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in _places(whole) if path]
        if not places:
            return draw(st.sampled_from(ODD))
        *path, last = draw(st.sampled_from(places))
        parent = whole
        for name in path:
            parent = parent[name]
        change = draw(st.sampled_from(("odd", "drop", "text", "entity")))
        if change == "drop":
            del parent[last]
        elif change == "text":
            parent[last] = draw(st.text(max_size=30))
        elif change == "entity" and isinstance(parent[last], str) and parent[last].startswith("{"):
            parent[last] = json.dumps(_mutated(draw, json.loads(parent[last])))
        else:
            parent[last] = draw(st.sampled_from(ODD))
    return whole


@st.composite
def deliveries(draw: st.DrawFn, provider: str) -> bytes:
    """A recorded delivery, with parts of it changed: as JSON, and sometimes as bytes."""
    body = draw(st.sampled_from(recordings(provider)))
    raw = json.dumps(_mutated(draw, json.loads(body)), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        where = draw(st.integers(0, len(raw)))
        raw = raw[:where] + draw(st.binary(max_size=4)) + raw[where + draw(st.integers(0, 4)) :]
    if draw(st.integers(0, 9)) == 0:  # a name twice
        raw = raw.replace(b"{", b'{"id":1,"id":2,', 1)
    return raw


def _sound(sighting: Sighting) -> None:
    """What is read can be stored and is what a sighting promises."""
    assert sighting.external_id
    for name in sighting.__slots__:
        value = getattr(sighting, name)
        if isinstance(value, datetime):
            assert value.tzinfo is UTC
            assert value.year >= 1990
        if isinstance(value, str):
            assert "\x00" not in value
            value.encode()
    assert 0 <= sighting.sequence < 1 << 63


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=300)
@given(data=st.data())
def test_an_adapter_reads_a_delivery_or_says_what_is_wrong(provider: str, data: st.DataObject) -> None:
    integration = shipped(provider)
    body = data.draw(deliveries(provider))
    delivered, problem = _read(body, integration)
    assert (delivered, str(problem)) == (_read(body, integration)[0], str(_read(body, integration)[1]))
    for sighting in delivered.sightings if delivered else ():
        _sound(sighting)
        try:
            seen = shown(sighting, integration, NOW, "1")
            opening(provider, sighting.external_id, [seen], integration, NOW, NOW)
        except (Unmapped, ValidationError):
            continue


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=200)
@given(body=st.binary(max_size=200))
def test_bytes_are_read_or_unreadable(provider: str, body: bytes) -> None:
    _read(body, shipped(provider))


def _read(body: bytes, integration: Integration) -> tuple[Delivered | None, Unreadable | None]:
    try:
        return ADAPTERS[integration.adapter].read(body, integration), None
    except Unreadable as problem:
        _can_be_told(problem)
        return None, problem


def _can_be_told(problem: Unreadable) -> None:
    assert problem.field
    str(problem).encode()
