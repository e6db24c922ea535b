"""pydantic's validation errors as text: `contact.email: is missing`."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

_MOST_ERRORS = 500
_LONGEST_FIELD = 200
_LONGEST_MESSAGE = 300
_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "must be an object"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "string_unicode": "must not contain half of a surrogate pair",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
}
"""Replaces pydantic's messages that speak of Python types, or of details that a caller cannot see."""


class FieldError(BaseModel):
    """One wrong field. `field` is its path as written in JSON (`events[2].type`); empty means the whole body."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str

    def __str__(self) -> str:
        """`contact.email: is missing`."""
        return f"{self.field}: {self.message}" if self.field else self.message


def field_errors(problems: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """pydantic's `error.errors()` as field errors, at most 500. They never repeat the input."""
    return [
        FieldError(field=format_path(problem["loc"])[:_LONGEST_FIELD], message=_message(problem))
        for problem in problems[:_MOST_ERRORS]
    ]


def describe_validation_error(error: ValidationError) -> str:
    """The first wrong field and its message: `contact.email: is missing`. The input is never repeated."""
    return str(field_errors(error.errors(include_url=False, include_input=False)[:1])[0])


def format_path(path: Sequence[str | int]) -> str:
    """A path as people write it: `calendars.default.holidays.added[2]`; empty for the whole document."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] in _MESSAGES:
        context = problem.get("ctx", {})
        message = _MESSAGES[problem["type"]].format(**context)
        # pydantic reports "Value" for the length of a string that is checked after a custom validator.
        return message.replace("items", "characters") if context.get("field_type") == "Value" else message
    return str(problem["msg"]).removeprefix("Value error, ")[:_LONGEST_MESSAGE]
