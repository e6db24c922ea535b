"""Compares what the rules say with what a service responds. Pure."""

from collections.abc import Iterator, Mapping


def differences(expected: object, found: object, path: str = "") -> Iterator[str]:
    """One line for each value of `expected` that differs in `found`. Values that only `found` has are ignored."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name, value in expected.items():
            yield from differences(value, found.get(name), f"{path}.{name}" if path else name)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (value, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(value, other, f"{path}[{index}]")
    elif expected != found:
        yield f"{path} is {found}, the rules say {expected}"
