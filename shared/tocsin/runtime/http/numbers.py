"""Whole numbers in paths and query parameters."""

import re
from typing import Final

from pydantic import BeforeValidator


def _require_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"0|[1-9][0-9]{0,18}", value, re.ASCII):
        raise ValueError("must be a whole number")
    return value


DIGITS: Final = BeforeValidator(_require_digits)
"""A number of at most 19 digits in its one spelling: pydantic alone also accepts ` 5`, `+5`, `5.0` and `1_000`.

It follows the bounds: `Annotated[int, Query(ge=1), DIGITS]`.
"""
