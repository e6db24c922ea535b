"""The JSON that we take (DESIGN, Contracts): nothing is guessed, nothing is lost in silence.

Values are what `json` makes of a body. `null` and blank strings count as absent, a boolean is no number, an instant
names its zone, an object gives each name once and no name that nobody knows. Pure.
"""

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from tocsin.instants import parse_instant
from tocsin.yaml_document import field_error

from intake.domain.json_parsing import LONGEST_NAME, Repeated

LONGEST_STRING: Final = 10_000
LONGEST_LIST: Final = 500
MOST_FIELDS: Final = 100
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 8999


class Request(BaseModel):
    """Strict and frozen; a field that nobody knows is refused, since a misspelt one would be lost in silence."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def drop_absent(cls, value: Any) -> Any:
        """`null` and blank are absent: an optional field takes its default, a required one is missing."""
        if isinstance(value, Repeated):
            raise field_error((value.name[:LONGEST_NAME],), None, "is given more than once")
        if not isinstance(value, dict):
            return value
        if len(value) > MOST_FIELDS:
            raise ValueError(f"has more than {MOST_FIELDS} fields")
        return {key: item for key, item in value.items() if not _absent(item)}

    def digest(self) -> bytes:
        """Equal for requests that say the same (absent = null = default), and for ever: new fields have defaults."""
        return sha256(self.model_dump_json(exclude_defaults=True).encode()).digest()


def instant(value: object) -> datetime:
    """An instant as RFC 3339 writes it, with its zone, from 1990 to 8999. Raises ValueError."""
    at = parse_instant(value)
    if isinstance(value, datetime):
        return at
    if at.year < FIRST_YEAR:  # year 1, 1970: what a tool writes that knows no better
        raise ValueError(f"must not lie before the year {FIRST_YEAR}")
    if at.year > LAST_YEAR:  # year 9999: what a tool writes that means never
        raise ValueError(f"must not lie after the year {LAST_YEAR}")
    return at


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def not_blank(text: str) -> str:
    """The text, if it is more than blanks. Raises ValueError."""
    if _absent(text):
        raise ValueError("must not be blank")
    return text


def _clean(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    return text


Text = Annotated[
    str, Field(max_length=LONGEST_STRING, json_schema_extra={"pattern": "^[^\\x00]*$"}), AfterValidator(_clean)
]
"""A string that may be left out, or blank, which is the same."""

BLANKS: Final = r"\s\x1c-\x1f\x85"
"""What a blank string is made of, inside a regular expression's brackets: to JSON Schema \\s alone is less."""

Given = Annotated[Text, Field(json_schema_extra={"pattern": rf"^[^\x00]*[^\x00{BLANKS}][^\x00]*$"})]
"""A string of a field that is required: a blank one is missing. Says so in the JSON schema."""

Instant = Annotated[
    datetime, BeforeValidator(instant), Field(json_schema_extra={"pattern": "^(199[0-9]|[2-8][0-9]{3})-"})
]
