"""docs/asyncapi.yaml is current, and is valid AsyncAPI 3.0."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from support.asyncapi_document import CHANNELS, PATH, document, text, types_of
from tocsin.events import EVENT_TYPES
from tocsin.runtime.kafka.client import TOPICS

TEXT = {"type": "string", "minLength": 1}
REFERENCE = {
    "type": "object",
    "required": ["$ref"],
    "additionalProperties": False,
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
}
NAME = r"^[\w.\-]+$"


def a(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def named(value: dict[str, Any]) -> dict[str, Any]:
    """An object whose keys are valid names of components and channels."""
    return {"type": "object", "patternProperties": {NAME: value}, "additionalProperties": False, "minProperties": 1}


# The part of the AsyncAPI 3.0.0 specification that we use. Nothing else is allowed.
SPECIFICATION = a(
    {
        "asyncapi": {"const": "3.0.0"},
        "info": a({"title": TEXT, "version": TEXT, "description": TEXT}, "title", "version"),
        "defaultContentType": {"const": "application/json"},
        "channels": named(
            a(
                {
                    "address": TEXT,
                    "description": TEXT,
                    "messages": named(REFERENCE),
                    "bindings": a(
                        {
                            "kafka": a(
                                {
                                    "topic": TEXT,
                                    "partitions": {"type": "integer", "minimum": 1},
                                    "bindingVersion": {"const": "0.5.0"},
                                }
                            )
                        }
                    ),
                },
                "address",
                "messages",
            )
        ),
        "operations": named(
            a(
                {
                    "action": {"enum": ["send", "receive"]},
                    "channel": REFERENCE,
                    "summary": TEXT,
                    "messages": {"type": "array", "items": REFERENCE, "minItems": 1},
                },
                "action",
                "channel",
            )
        ),
        "components": a(
            {
                "messages": named(
                    a(
                        {
                            "name": TEXT,
                            "summary": TEXT,
                            "description": TEXT,
                            "contentType": TEXT,
                            "headers": {"type": "object"},
                            "payload": {"type": "object"},
                            "bindings": a(
                                {"kafka": a({"key": {"type": "object"}, "bindingVersion": {"const": "0.5.0"}})}
                            ),
                        },
                        "name",
                    )
                ),
                "schemas": named({"type": "object"}),
            }
        ),
    },
    "asyncapi",
    "info",
    "channels",
    "operations",
    "components",
)


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return found


def test_the_file_is_current() -> None:
    assert PATH.read_text(encoding="utf-8") == text(), "run: make asyncapi"


def test_no_text_refers_to_a_file_of_the_repository() -> None:
    assert "docs/" not in text()


def test_the_document_is_valid(published: dict[str, Any]) -> None:
    Draft7Validator(SPECIFICATION).validate(published)


def test_every_topic_and_every_type_is_described_once(published: dict[str, Any]) -> None:
    assert [channel["address"] for channel in published["channels"].values()] == list(TOPICS)
    assert sorted(kind for channel in CHANNELS for kind in types_of(channel)) == sorted(EVENT_TYPES)
    assert list(published["components"]["messages"]) == list(EVENT_TYPES)


def test_every_reference_has_a_target(published: dict[str, Any]) -> None:
    found = [at(published, reference) for reference in references(published)]
    assert all(isinstance(target, dict) for target in found)
    assert len(found) > len(EVENT_TYPES)


def test_an_operation_has_messages_of_its_channel_only(published: dict[str, Any]) -> None:
    for operation in published["operations"].values():
        channel = operation["channel"]["$ref"]
        names = {f"{channel}/messages/{name}" for name in at(published, channel)["messages"]}
        assert {message["$ref"] for message in operation["messages"]} <= names


def test_every_schema_is_a_json_schema_of_draft_7(published: dict[str, Any]) -> None:
    """The dialect that an AsyncAPI 3.0 schema extends."""
    for schema in published["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    for message in published["components"]["messages"].values():
        Draft7Validator.check_schema(message["headers"])
        Draft7Validator.check_schema(message.get("payload", {}))


def test_the_document_is_deterministic() -> None:
    assert document() == document()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from references(part)


def at(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
