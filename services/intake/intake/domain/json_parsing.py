"""JSON as it comes from outside, and what in it nobody can use. Pure.

`parse_json` is for bodies that a model validates; the model names the wrong field, in a batch item by item.
`parse_bounded_json` is for payloads that no model describes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 4000
"""How deep lists and objects may lie in each other, and how many digits an integer may have."""

MAX_NAME_LENGTH: Final = 100
"""How much is told of a name that an object gives more than once."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class DuplicateKey:
    """Stands for an object that gives `name` more than once: nobody can tell which value is meant."""

    name: str


@dataclass(frozen=True, slots=True)
class HugeInteger:
    """Stands for an integer of more than 4,000 digits."""


class InvalidJsonError(ValueError):
    """The bytes are no JSON, or none that can be read; str() says so."""


class JsonDepthError(ValueError):
    """JSON that cannot be used: `field` as a caller writes it (`events[2].type`; empty: the whole body), and why."""

    def __init__(self, path: Path, message: str) -> None:
        self.field = render_path(path)
        self.message = message
        super().__init__(f"{self.field or 'the body'} {message}")


def parse_json(raw: bytes) -> object:
    """The value, however deeply nested, with `DuplicateKey` and `HugeInteger` in place of what they describe.

    A model never looks deeper than its own fields, so it rejects only the field or the batch item concerned. Raises
    InvalidJsonError.
    """
    try:
        # Not orjson: it drops all but the last of equal names, and refuses what a model can name the field of.
        return json.loads(raw.decode(), object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidJsonError(_TOO_DEEP) from None
    except ValueError:
        raise InvalidJsonError("is not JSON") from None


def parse_bounded_json(raw: bytes) -> object:
    """The same value. Raises InvalidJsonError; JsonFault where it is too deep."""
    value = parse_json(raw)
    _check_depth(value)
    return value


def render_path(path: Path) -> str:
    """The path as a caller writes it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} deep"


def _object(pairs: list[tuple[str, object]]) -> object:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return DuplicateKey(_readable(name))
        seen.add(name)
    return {_readable(name): value for name, value in pairs}


def _readable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _integer(digits: str) -> int | HugeInteger:
    return int(digits) if len(digits) <= MAX_DIGITS else HugeInteger()


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise JsonDepthError(_deepest(value), _TOO_DEEP)


def _deepest(value: object) -> Path:
    """The first part that lies too deep, named by the field it lies in."""
    paths: list[tuple[Path, object]] = [((), value)]
    for _ in range(MAX_DEPTH):
        paths = [
            ((*path, name), part)
            for path, whole in paths
            for name, part in _parts(whole)
            if isinstance(part, dict | list)
        ]
    return paths[0][0][:1]


def _parts(whole: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(whole, dict):
        yield from whole.items()
    elif isinstance(whole, list):
        yield from enumerate(whole)
