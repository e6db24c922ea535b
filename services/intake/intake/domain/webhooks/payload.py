"""JSON bodies of tools, read without trusting them. Pure."""

import math
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import LAST_YEAR

from intake.domain.json_parsing import DuplicateKey, HugeInteger, parse_bounded_json
from intake.domain.webhooks.snapshot import Payload, UnreadableError
from intake.errors import InvalidJsonError, JsonDepthError

LONGEST: Final = 10_000
"""Characters that are kept of a text (DESIGN, Contracts)."""
FIRST_YEAR: Final = 1990
NO_INSTANT: Final = f"is no instant from {FIRST_YEAR} to {LAST_YEAR}"

_SPACED_OFFSET: Final = re.compile(r"(:\d\d(?:\.\d+)?) (UTC|[+-]\d\d:?\d\d)$", re.ASCII)
"""As Ruby ends an instant, where ISO 8601 has no space."""


def parsed(body: bytes) -> Payload:
    """The body as JSON data, an object or a list. Raises UnreadableError."""
    try:
        data = parse_bounded_json(body.removeprefix(BOM_UTF8))
    except InvalidJsonError as error:
        raise UnreadableError("body", f"{error}; have the tool send plain JSON") from None
    except JsonDepthError as fault:
        raise UnreadableError(fault.field or "body", f"{fault.message}; have the tool send less") from None
    if isinstance(data, DuplicateKey):
        raise UnreadableError("body", f"{problem_with_word(data)}; have the tool send it once")
    if not isinstance(data, Mapping | list):
        raise UnreadableError("body", "is no JSON object or list; have the tool send its ticket as an object")
    return data


def problem_with_word(value: object) -> str | None:
    """Why a value that is there can be no word or number of a tool's; None: it can be one."""
    if isinstance(value, DuplicateKey):
        return f"gives `{value.name[:60]}` more than once"
    if isinstance(value, HugeInteger) or (isinstance(value, int) and abs(value) >= 1 << 63):
        return "is too large a number"
    if isinstance(value, float) and not math.isfinite(value):
        return "is too large a number"
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        kind = {bool: "true or false", dict: "an object", list: "a list"}
        return f"is {kind.get(type(value), 'another thing')}, no text and no number"
    return None


def text(value: object) -> str | None:
    """A value as a tool's word or text: at most 10,000 characters, without what cannot be stored. None for nothing.

    Numbers are written out; what is neither text nor number says nothing.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return None
    found = str(value).replace("\x00", "").encode(errors="replace").decode().strip()
    if not found:
        return None
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def instant(value: object, zone: ZoneInfo, form: str = "iso") -> datetime | None:
    """A tool's instant, in UTC; without a zone of its own it is in `zone`. None for what is none from 1990 to 2100.

    `form` is iso (also with a space before its offset or UTC), unix (seconds), unix_ms or a strptime format. Fractions
    may have any number of digits.
    """
    try:
        at = _read(value, form)
        at = at.replace(tzinfo=zone) if at is not None and at.tzinfo is None else at
        at = at.astimezone(UTC) if at is not None else None
    except (ValueError, OverflowError, OSError):
        return None
    # What a tool writes that knows no better, such as year 1 or 1900-01-01, is no instant.
    return at if at is not None and FIRST_YEAR <= at.year <= LAST_YEAR else None


def _read(value: object, form: str) -> datetime | None:
    if form in ("unix", "unix_ms"):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        return datetime.fromtimestamp(float(value) / (1000 if form == "unix_ms" else 1), UTC)
    if not isinstance(value, str):
        return None
    if form == "iso":
        return datetime.fromisoformat(_SPACED_OFFSET.sub(_offset, value.strip()))
    return datetime.strptime(value.strip(), form)  # noqa: DTZ007 (the zone is given by the caller)


def _offset(spaced: re.Match[str]) -> str:
    return spaced[1] + ("+00:00" if spaced[2] == "UTC" else spaced[2])
