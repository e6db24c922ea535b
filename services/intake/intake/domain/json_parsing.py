"""JSON bodies, parsed without losing or guessing anything. Pure.

`parse_json` is for bodies that a model validates; the model names the wrong field, in a batch item by item.
`parse_bounded_json` is for payloads that no model describes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from intake.errors import InvalidJsonError, JsonDepthError

MAX_DEPTH: Final = 32
"""Levels of lists and objects."""
MAX_DIGITS: Final = 4000
"""Digits of an integer."""
MAX_NAME_LENGTH: Final = 100
"""Characters of a duplicate field's name that an error shows."""


@dataclass(frozen=True, slots=True)
class DuplicateKey:
    """Replaces an object that has the key `name` more than once."""

    name: str


@dataclass(frozen=True, slots=True)
class HugeInteger:
    """Replaces an integer of more than MAX_DIGITS digits."""


def parse_json(raw: bytes, *, strict: bool = True) -> object:
    """The value, however deeply nested; `DuplicateKey` and `HugeInteger` replace the values that they describe.

    A model never looks deeper than its own fields, so it rejects only the field or the batch item concerned. Unless
    `strict`, texts may contain line breaks and other control characters. Raises InvalidJsonError.
    """
    try:
        # Not orjson: it keeps only the last of equal keys, and rejects integers whose field a model could name.
        return json.loads(
            raw.decode(),
            strict=strict,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_constant=_reject_constant,
        )
    except RecursionError:
        raise InvalidJsonError(_TOO_DEEP) from None
    except ValueError:
        raise InvalidJsonError("is not JSON") from None


def parse_bounded_json(raw: bytes) -> object:
    """As `parse_json`, but raises JsonDepthError if the value is nested more than MAX_DEPTH deep.

    Texts may contain line breaks: tools that fill in a template do not escape them.
    """
    value = parse_json(raw, strict=False)
    level = list(_containers(value))  # each container with the outermost field that it lies in
    for _ in range(MAX_DEPTH - 1):
        level = [(field, part) for field, container in level for _, part in _containers(container)]
    if not level:
        return value
    field = level[0][0]
    raise JsonDepthError(f"[{field}]" if isinstance(field, int) else field, _TOO_DEEP)


_TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} deep"


def _object(pairs: list[tuple[str, object]]) -> object:
    value = dict(pairs)
    if len(value) == len(pairs) and all(map(str.isascii, value)):
        return value
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return DuplicateKey(_without_surrogates(name))
        seen.add(name)
    return {_without_surrogates(name): value for name, value in pairs}


def _without_surrogates(name: str) -> str:
    return name.encode(errors="replace").decode()


def _integer(digits: str) -> int | HugeInteger:
    return int(digits) if len(digits) <= MAX_DIGITS else HugeInteger()


def _reject_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _containers(value: object) -> Iterator[tuple[str | int, object]]:
    """The lists and objects in a list or an object, each with its key or index."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ((name, part) for name, part in parts if isinstance(part, dict | list))
