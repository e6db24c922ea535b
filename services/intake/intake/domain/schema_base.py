"""The base of all request models, and the types of their fields. Pure.

Values are Python objects as `json` parses them. Nothing is guessed and nothing is lost silently: `null` and blank
strings are absent, a boolean is not a number, an instant states its zone, and unknown or duplicate fields are rejected.
"""

import re
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator
from tocsin.characters import (
    BLOCK_PATTERN,
    ID_PATTERN,
    INVISIBLE,
    LINE_PATTERN,
    NOT_IN_ID,
    NOT_IN_LINE,
    check_block,
    check_id,
    check_line,
    clean_block,
    clean_id,
    clean_line,
)
from tocsin.instants import parse_instant
from tocsin.yaml_document import field_error

from intake.domain.json_parsing import MAX_NAME_LENGTH, DuplicateKey

MAX_STRING_LENGTH: Final = 10_000
MAX_LIST_LENGTH: Final = 500
MAX_FIELDS: Final = 100
MIN_YEAR: Final = 1990
MAX_YEAR: Final = 8999
"""Tools write years outside these where they know no date: 1, 1970, 9999."""

BLANK: Final = r"\s\x1c-\x1f\x85"
"""The characters of a blank string, for use inside brackets: JSON Schema's \\s matches fewer than Python's."""
_IS_BLANK: Final = re.compile(f"[{BLANK}{INVISIBLE}]*")


class RequestModel(BaseModel):
    """A strict and frozen request. Unknown fields are rejected, because a misspelt one would be lost silently."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def drop_absent_fields(cls, value: Any) -> Any:
        """Drop `null` and blank values, so that an optional field takes its default and a required one is missing."""
        if isinstance(value, DuplicateKey):
            raise field_error((value.name[:MAX_NAME_LENGTH],), None, "is given more than once")
        if not isinstance(value, dict):
            return value
        if len(value) > MAX_FIELDS:
            raise ValueError(f"has more than {MAX_FIELDS} fields")
        return {key: item for key, item in value.items() if not _is_absent(item)}

    def digest(self) -> bytes:
        """Equal for equal requests, where absent, `null` and a default written out are equal.

        Digests are stored: a field added later needs a default.
        """
        return sha256(self.model_dump_json(exclude_defaults=True).encode()).digest()


def parse_request_instant(value: object) -> datetime:
    """The instant that an RFC 3339 text with a zone states, from 1990 to 8999. Raises ValueError."""
    at = parse_instant(value)
    if isinstance(value, datetime):
        return at
    if at.year < MIN_YEAR:
        raise ValueError(f"must not lie before the year {MIN_YEAR}")
    if at.year > MAX_YEAR:
        raise ValueError(f"must not lie after the year {MAX_YEAR}")
    return at


def reject_blank(text: str) -> str:
    """The text unless it is blank. Raises ValueError."""
    if _is_absent(text):
        raise ValueError("must not be blank")
    return text


def _is_absent(value: object) -> bool:
    # The first character decides nearly always; only ASCII ones are compared, since others may be blank.
    if isinstance(value, str):
        return not "!" <= value[:1] <= "~" and _IS_BLANK.fullmatch(value) is not None
    return value is None


def checked(check: Callable[[str], str], repair: Callable[[str], str]) -> AfterValidator:
    """Check a text that a caller posted, repair one that a tool or a mail sent."""

    def validate(text: str, info: ValidationInfo) -> str:
        return repair(text) if info.context is None else check(text)  # the context is set by `validate_request`

    return AfterValidator(validate)


# docs/rules.md#1-12
Id = Annotated[
    str,
    Field(max_length=MAX_STRING_LENGTH, json_schema_extra={"pattern": ID_PATTERN}),
    checked(check_id, clean_id),
]
"""A string of an optional field that is compared."""

Line = Annotated[
    str,
    Field(max_length=MAX_STRING_LENGTH, json_schema_extra={"pattern": LINE_PATTERN}),
    checked(check_line, clean_line),
]
"""A string of an optional field that is shown on one line."""

Block = Annotated[
    str,
    Field(max_length=MAX_STRING_LENGTH, json_schema_extra={"pattern": BLOCK_PATTERN}),
    checked(check_block, clean_block),
]
"""A string of an optional field with several lines."""

# The model treats a blank string of a required field as missing; the patterns say so in the JSON Schema.
RequiredId = Annotated[Id, Field(json_schema_extra={"pattern": rf"^[^{NOT_IN_ID}]*[^{NOT_IN_ID}\s][^{NOT_IN_ID}]*$"})]
RequiredLine = Annotated[
    Line, Field(json_schema_extra={"pattern": rf"^[^{NOT_IN_LINE}]*[^{NOT_IN_LINE}{BLANK}][^{NOT_IN_LINE}]*$"})
]

RequestInstant = Annotated[
    datetime, BeforeValidator(parse_request_instant), Field(json_schema_extra={"pattern": "^(199[0-9]|[2-8][0-9]{3})-"})
]
