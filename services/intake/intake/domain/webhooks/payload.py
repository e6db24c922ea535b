"""JSON payloads of tools, read without trusting them. Pure."""

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Final

from intake.domain.json_parsing import DuplicateKey, HugeInteger, parse_bounded_json
from intake.errors import InvalidJsonError, JsonDepthError, UnreadableError

Payload = Mapping[str, object] | list[object]

MAX_TEXT_LENGTH: Final = 10_000

_MAX_INTEGER: Final = 1 << 63
_QUOTED_LENGTH: Final = 60
_OTHER_FORMATS: Final = {
    "a form": re.compile(rb"[\w.%\[\]+-]{1,100}="),
    "XML or HTML": re.compile(rb"<"),
    "a form with several parts": re.compile(rb"--"),
    "compressed": re.compile(rb"\x1f\x8b"),
    "UTF-16 text": re.compile(rb"\xff\xfe|\xfe\xff|[\[{]\x00|\x00[\[{]"),
}


def parse(body: bytes) -> Payload:
    """The JSON object or list. Raises UnreadableError."""
    try:
        data = parse_bounded_json(body.removeprefix(BOM_UTF8))
    except InvalidJsonError as error:
        raise UnreadableError("body", _problem_with_body(body) or f"{error}; configure the tool to send JSON") from None
    except JsonDepthError as error:
        raise UnreadableError(
            error.field or "body", f"{error.message}; configure the tool to send less nested JSON"
        ) from None
    if isinstance(data, DuplicateKey):
        raise UnreadableError("body", str(problem_with_text(data)))
    if not isinstance(data, Mapping | list):
        raise UnreadableError("body", "must be a JSON object or a list; configure the tool to send the whole ticket")
    return data


def _problem_with_body(body: bytes) -> str | None:
    """The kind of a body that is not JSON, and what to change in the tool; None if unknown."""
    beginning = body.removeprefix(BOM_UTF8).lstrip()
    if not beginning:
        return "is empty; configure the tool to send the ticket as JSON"
    for kind, pattern in _OTHER_FORMATS.items():
        if pattern.match(beginning):
            return f"is {kind}; choose JSON as the content type in the tool"
    try:
        json.loads(body.removeprefix(BOM_UTF8).decode(), strict=False)
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start + 1}); configure the tool to send JSON in UTF-8"
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return (
            f"is not JSON ({place}); configure the tool to escape its texts, or to omit the text that breaks the JSON"
        )
    except (ValueError, RecursionError):
        return None
    return None


def problem_with_text(value: object) -> str | None:
    """Why a JSON value cannot be read as text or a number; None if it can, or is null."""
    if isinstance(value, DuplicateKey):
        return f"has the key `{value.name[:_QUOTED_LENGTH]}` more than once"
    if isinstance(value, HugeInteger) or (isinstance(value, int) and abs(value) >= _MAX_INTEGER):
        return "is too large a number"
    if isinstance(value, float) and not math.isfinite(value):
        return "is too large a number"
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        kind = {bool: "a boolean", dict: "an object", list: "a list"}
        return f"is {kind.get(type(value), 'another type')}, not text or a number"
    return None


def text(value: object) -> str | None:
    """The value as text without lone surrogates, truncated to MAX_TEXT_LENGTH characters.

    Numbers become text. None for other types, and for blank text. Control characters remain: `read_delivery` removes
    them, and notes it.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        return None
    found = str(value).encode(errors="replace").decode().strip()
    if not found:
        return None
    return found if len(found) <= MAX_TEXT_LENGTH else f"{found[: MAX_TEXT_LENGTH - 1]}…"


def problem_with_word(value: object) -> str | None:
    """Why a JSON value cannot be read as text, a number or a boolean; None if it can, or is null."""
    return None if isinstance(value, bool) else problem_with_text(value)


def word(value: object) -> str | None:
    """The value as `text` returns it; a boolean becomes the word `true` or `false`."""
    return str(value).lower() if isinstance(value, bool) else text(value)
