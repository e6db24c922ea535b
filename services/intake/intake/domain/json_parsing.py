"""JSON as it comes from outside, and what in it nobody can use. Pure.

`parsed` is for models, which name the field that is wrong, each item of a batch by itself; `loads` is for payloads that
no model describes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_DEPTH: Final = 32
MOST_DIGITS: Final = 4000
"""How deep lists and objects may lie in each other, and how many digits an integer may have."""

LONGEST_NAME: Final = 100
"""How much is told of a name that an object gives more than once."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """Stands for an object that gives `name` more than once: nobody can tell which value is meant."""

    name: str


@dataclass(frozen=True, slots=True)
class Huge:
    """Stands for an integer of more than 4,000 digits."""


class NotJsonError(ValueError):
    """The bytes are no JSON, or none that can be read; str() says so."""


class JsonFault(ValueError):
    """JSON that cannot be used: `field` as a caller writes it (`events[2].type`; empty: the whole body), and why."""

    def __init__(self, path: Path, message: str) -> None:
        self.field = written(path)
        self.message = message
        super().__init__(f"{self.field or 'the body'} {message}")


def parsed(raw: bytes) -> object:
    """The value, with `Repeated` and `Huge` where these stand, as deep as it came: a model never looks deeper than it
    describes, and refuses the field or the item alone. Raises NotJsonError.
    """
    try:
        # Not orjson: it drops all but the last of equal names, and refuses what a model can name the field of.
        return json.loads(raw.decode(), object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise NotJsonError(_TOO_DEEP) from None
    except ValueError:
        raise NotJsonError("is not JSON") from None


def loads(raw: bytes) -> object:
    """The same value. Raises NotJsonError; JsonFault where it is too deep."""
    value = parsed(raw)
    _check_depth(value)
    return value


def written(path: Path) -> str:
    """The path as a caller writes it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_TOO_DEEP: Final = f"is nested more than {MOST_DEPTH} deep"


def _object(pairs: list[tuple[str, object]]) -> object:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return Repeated(_readable(name))
        seen.add(name)
    return {_readable(name): value for name, value in pairs}


def _readable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _integer(digits: str) -> int | Huge:
    return int(digits) if len(digits) <= MOST_DIGITS else Huge()


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ())
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise JsonFault(_deepest(value), _TOO_DEEP)


def _deepest(value: object) -> Path:
    """The first part that lies too deep, named by the field it lies in."""
    paths: list[tuple[Path, object]] = [((), value)]
    for _ in range(MOST_DEPTH):
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
