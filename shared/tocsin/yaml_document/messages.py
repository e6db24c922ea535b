"""Turns pydantic's errors into messages for the people who edit a document."""

import re
from difflib import get_close_matches
from typing import Any, Final

from pydantic_core import ErrorDetails

from tocsin.yaml_document.errors import FIELD_ERROR, FieldPath
from tocsin.yaml_document.field_types import PATTERN_MESSAGES

_INSTANT: Final = "is not a date and time; write it like 2026-06-08T00:00:00Z"
_DATE: Final = "is not a date; write it like 2026-12-24"
_MESSAGES: Final = {
    "string_type": "must be text; write it in quotes",
    "int_type": "must be a whole number; write it without quotes and units",
    "bool_type": "must be true or false; write one of them",
    "model_type": "must be a mapping; write its fields below it, one per line",
    "dict_type": "must be a mapping; write its entries below it, one per line",
    "tuple_type": "must be a list; write it in square brackets, or one `- entry` per line",
    "timezone_aware": "has no time zone; add one, for example 2026-06-08T00:00:00Z",
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
}
_MAX_SHOWN: Final = 60


def explain(error: ErrorDetails, schema: dict[str, Any]) -> tuple[FieldPath, str]:
    """Return where the error is, and "what is wrong; what to write instead".

    `schema` is the JSON Schema of the document's model: its examples and limits become advice.
    """
    path = tuple(part for part in error["loc"] if part != "[key]")
    return path, _message(error, path, schema)


def _message(error: ErrorDetails, path: FieldPath, schema: dict[str, Any]) -> str:
    kind, value = error["type"], error["input"]
    shown = f"`{str(value)[:_MAX_SHOWN]}`"
    if kind == FIELD_ERROR:
        return error["msg"]
    if kind == "value_error":
        text = str(error.get("ctx", {}).get("error", error["msg"])).rstrip(".")
        return text if "; " in text else f"{text}; {_advice(path, schema)}"
    if kind == "missing":
        return f"is missing; add it{_for_example(path, schema)}"
    if kind == "extra_forbidden":
        known = list(_schema_at(schema, path[:-1]).get("properties", {}))
        return f"unknown field; {_nearest(str(path[-1]), known, 'fields')}"
    if kind == "literal_error":
        words = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return f"{shown} is not a valid value; {_nearest(str(value), words, 'values')}"
    if value is None:
        return f"is empty; add a value{_for_example(path, schema)}"
    if kind == "string_pattern_mismatch":
        message = PATTERN_MESSAGES.get(error["ctx"]["pattern"])
        return f"{_subject(path, shown)} {message or f'is not valid; {_advice(path, schema)}'}"
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    wrong = re.sub("^(Input|String|Value|Dictionary|Tuple) should", "should", error["msg"])
    return f"{_subject(path, shown)} {wrong}; {_advice(path, schema)}"


def _subject(path: FieldPath, shown: str) -> str:
    """The value, but not in a field for the name or file of a secret, which may hold the secret by mistake."""
    return "it" if any("secret" in str(part) for part in path) else shown


def _nearest(word: str, known: list[str], kind: str) -> str:
    close = get_close_matches(word, known, 1)
    return f"did you mean `{close[0]}`?" if close else f"valid {kind} are {', '.join(known)}"


def _advice(path: FieldPath, schema: dict[str, Any]) -> str:
    if example := _example(path, schema):
        return f"write it like {example}"
    node = _schema_at(schema, path)
    if "minimum" in node and "maximum" in node:
        return f"write a number from {node['minimum']} to {node['maximum']}"
    return "correct it"


def _for_example(path: FieldPath, schema: dict[str, Any]) -> str:
    example = _example(path, schema)
    return f", for example {example}" if example else ""


def _example(path: FieldPath, schema: dict[str, Any]) -> str:
    """The example of a field, as `field: value`. An entry of a list has no name."""
    examples = _schema_at(schema, path).get("examples", ())
    if not examples or not path:
        return ""
    return str(examples[0]) if isinstance(path[-1], int) else f"{path[-1]}: {examples[0]}"


def _schema_at(schema: dict[str, Any], path: FieldPath) -> dict[str, Any]:
    node = _resolved(schema, schema)
    for part in path:
        node = _resolved(schema, _child(node, part))
    return node


def _child(node: dict[str, Any], part: str | int) -> dict[str, Any]:
    if part in node.get("properties", {}):
        return dict(node["properties"][part])
    entries = [node.get("additionalProperties"), node.get("items"), *node.get("patternProperties", {}).values()]
    return next((entry for entry in entries if isinstance(entry, dict)), {})


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """`node` with its references and alternatives merged into it."""
    merged = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
    alternatives = list(node.get("anyOf", ()))
    if "$ref" in node:
        alternatives.append(schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    for alternative in alternatives:
        merged = {**_resolved(schema, alternative), **merged}
    return merged
