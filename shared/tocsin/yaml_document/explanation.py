"""pydantic's errors said so that whoever wrote the document knows what to write instead."""

import re
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from tocsin.yaml_document.errors import FieldPath
from tocsin.yaml_document.field_types import PATTERNS

_WANTED = {
    "string_type": "must be text; write it in quotes",
    "int_type": "must be a whole number; write it without quotes and units",
    "bool_type": "must be true or false; write one of them",
    "model_type": "must be a mapping; write its fields below it, one a line",
    "dict_type": "must be a mapping; write its entries below it, one a line",
    "tuple_type": "must be a list; write it in square brackets, or one `- entry` a line",
    "timezone_aware": "has no time zone; write one, for example 2026-06-08T00:00:00Z",
    "datetime_type": "is no instant; write it like 2026-06-08T00:00:00Z",
    "datetime_from_date_parsing": "is no instant; write it like 2026-06-08T00:00:00Z",
    "datetime_parsing": "is no instant; write it like 2026-06-08T00:00:00Z",
    "date_type": "is no date; write it like 2026-12-24",
    "date_parsing": "is no date; write it like 2026-12-24",
    "date_from_datetime_parsing": "is no date; write it like 2026-12-24",
    "date_from_datetime_inexact": "is no date; write it like 2026-12-24",
}


def explain(error: ErrorDetails, schema: dict[str, Any]) -> tuple[FieldPath, str]:
    """Where it is, and "what is wrong; what would be right", with examples out of the model's JSON Schema."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    kind = error["type"]
    if kind == "refused":
        return place, error["msg"]
    if kind == "value_error":
        return place, _with_example(str(error.get("ctx", {}).get("error", error["msg"])).rstrip("."), place, schema)
    if kind == "missing":
        return place, _with_example("is missing; state it", place, schema)
    if kind == "extra_forbidden":
        return place, _unknown(
            "is no field here", str(place[-1]), list(_schema_of(schema, place[:-1]).get("properties", {}))
        )
    if kind == "literal_error":
        words = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return place, _unknown(f"`{error['input']}` is not known", str(error["input"]), words)
    if error["input"] is None:
        return place, _with_example("is empty; state it", place, schema)
    if kind == "string_pattern_mismatch" and (said := PATTERNS.get(error["ctx"]["pattern"])):
        return place, f"`{str(error['input'])[:60]}` {said}"
    if kind in _WANTED:
        return place, _WANTED[kind]
    said = re.sub("^(Input|String|Value|Dictionary|Tuple) should", "should", error["msg"])
    # Where a secret's name or file is to stand, somebody may have written the secret.
    shown = "it" if any("secret" in str(part) for part in place) else f"`{str(error['input'])[:60]}`"
    return place, _with_example(f"{shown} {said}", place, schema)


def _unknown(message: str, word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f"{message}; did you mean `{close[0]}`?" if close else f"{message}; known are {', '.join(known)}"


def _with_example(message: str, place: FieldPath, schema: dict[str, Any]) -> str:
    if "; " in message and not message.endswith("state it"):
        return message
    node = _schema_of(schema, place)
    examples = node.get("examples", ())
    said = f"{place[-1]}: {examples[0]}" if examples and place else ""
    if message.endswith("state it"):
        return f"{message}, for example {said}" if said else message
    if said:
        return f"{message}; write it like {said}"
    if "minimum" in node and "maximum" in node:
        return f"{message}; write a number from {node['minimum']} to {node['maximum']}"
    return f"{message}; write it so"


def _schema_of(schema: dict[str, Any], place: FieldPath) -> dict[str, Any]:
    node = _resolved(schema, schema)
    for part in place:
        node = _resolved(schema, _below(node, part))
    return node


def _below(node: dict[str, Any], part: str | int) -> dict[str, Any]:
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
