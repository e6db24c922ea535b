"""Events that were once published, recorded under recorded/v1: they must parse forever, with the same ids.

A recording is never changed. For a new event type, add a recording from its topic.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft7Validator, FormatChecker
from support.asyncapi_document import PATH
from tocsin.events import EVENT_TYPES, Watermark, decode, encode, event_type

RECORDED = Path(__file__).parent / "recorded" / "v1"
FILES = sorted(RECORDED.glob("*.json"))
CLOUD_EVENTS = [path for path in FILES if path.stem != "progress"]

each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
each_cloud_event = pytest.mark.parametrize("path", CLOUD_EVENTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """docs/asyncapi.yaml."""
    found: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return found


def load_recording(path: Path) -> tuple[bytes | None, list[tuple[str, bytes]], bytes]:
    """(key, headers, value) of the record."""
    found = json.loads(path.read_text(encoding="utf-8"))
    key = found["key"].encode() if found["key"] is not None else None
    value = json.dumps(found["value"]).encode() if found["value"] is not None else b""
    return key, [(name, text.encode()) for name, text in found["headers"].items()], value


def test_every_type_is_recorded() -> None:
    assert {path.stem for path in FILES} >= set(EVENT_TYPES)


@each
def test_a_recorded_event_still_parses(path: Path) -> None:
    key, headers, value = load_recording(path)
    event = decode(headers, value)
    assert event_type(event) == path.stem
    assert key == (str(event.ticket_id).encode() if event.ticket_id else None)


@each
def test_a_recorded_event_would_be_published_with_the_same_headers_and_data_today(path: Path) -> None:
    _, headers, value = load_recording(path)
    source = dict(headers).get("ce_source", b"/tocsin/intake").decode().removeprefix("/tocsin/")
    headers_today, value_today = encode(decode(headers, value), source)
    assert headers_today == headers
    assert contains(json.loads(value_today or b"null"), json.loads(value or b"null"))


@each
def test_fields_and_headers_that_a_newer_writer_adds_are_ignored(path: Path) -> None:
    _, headers, value = load_recording(path)
    newer = json.dumps({**json.loads(value), "added_later": {"deep": [1]}}).encode() if value else value
    assert decode([*headers, ("ce_addedlater", b"x")], newer) == decode(headers, value)


@each_cloud_event
def test_a_recorded_event_is_a_cloud_event_in_the_binary_mode_of_kafka(path: Path) -> None:
    key, headers, value = load_recording(path)
    event = from_binary(KafkaMessage(dict(headers), key, value), JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_type() == path.stem
    assert event.get_source().startswith("/tocsin/")
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("partitionkey") == event.get_subject()


@each
def test_a_recorded_event_fits_the_asyncapi_document(path: Path, described: dict[str, Any]) -> None:
    message = described["components"]["messages"][path.stem]
    _, headers, value = load_recording(path)

    def check(schema: dict[str, Any], instance: Any) -> None:
        whole = {"allOf": [schema], "components": described["components"]}
        Draft7Validator(whole, format_checker=FormatChecker()).validate(instance)

    check(message["headers"], {name: text.decode() for name, text in headers})
    if value:
        check(message["payload"], json.loads(value))


def test_a_watermark_has_its_type_and_instant_only() -> None:
    _, headers, value = load_recording(RECORDED / "progress.json")
    assert isinstance(decode(headers, value), Watermark)
    assert [name for name, _ in headers] == ["ce_type", "ce_acceptedthrough"]
    assert value == b""


def contains(today: Any, recorded: Any) -> bool:
    """Whether today's value contains everything of the recorded one. It may contain more."""
    if isinstance(recorded, dict):
        return isinstance(today, dict) and all(
            name in today and contains(today[name], recorded[name]) for name in recorded
        )
    if isinstance(recorded, list):
        return isinstance(today, list) and len(today) == len(recorded) and all(map(contains, today, recorded))
    return bool(today == recorded)
