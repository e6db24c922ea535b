"""The business clock of a stack: given by the environment at the first start, then kept with the state."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tocsin_local.errors import LocalError, StateRefused

PREFIX = "TOCSIN_CLOCK_"


@dataclass(frozen=True)
class Clock:
    """Business time = epoch + (real now - origin) * rate; instants in answer form."""

    epoch: str
    rate: float
    origin: str

    def environment(self) -> dict[str, str]:
        return {f"{PREFIX}EPOCH": self.epoch, f"{PREFIX}RATE": repr(self.rate), f"{PREFIX}ORIGIN": self.origin}


@dataclass(frozen=True)
class Asked:
    """What the environment says of the clock; None where it says nothing."""

    epoch: str | None
    rate: float | None
    origin: str | None


NOTHING_ASKED = Asked(None, None, None)


def asked(environment: Mapping[str, str]) -> Asked:
    """Raises LocalError for a value that is no instant or no rate."""
    return Asked(
        _instant(environment, "EPOCH"),
        _rate(environment),
        _instant(environment, "ORIGIN"),
    )


def first(wanted: Asked, now: datetime) -> Clock:
    """The clock of a new state: it starts now, at the real time and at its pace, where nothing else is asked."""
    origin = wanted.origin or rendered(now)
    return Clock(wanted.epoch or origin, 1.0 if wanted.rate is None else wanted.rate, origin)


def check(kept: Clock, wanted: Asked) -> None:
    """Raises StateRefused when an existing state is asked to run by another clock than before."""
    pairs = (
        ("EPOCH", kept.epoch, wanted.epoch),
        ("RATE", kept.rate, wanted.rate),
        ("ORIGIN", kept.origin, wanted.origin),
    )
    for name, before, now in pairs:
        if now is not None and now != before:
            raise StateRefused(
                f"this state began with {PREFIX}{name}={before} and cannot go on with {now}: "
                "start without it, or on an empty state (make clean, or another TOCSIN_STATE)."
            )


def rendered(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _instant(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(PREFIX + name)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise LocalError(f"{PREFIX}{name}={text!r} is no instant with a zone, such as 2026-06-08T12:00:00Z.")
    return rendered(instant)


def _rate(environment: Mapping[str, str]) -> float | None:
    text = environment.get(f"{PREFIX}RATE")
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise LocalError(f"{PREFIX}RATE={text!r} is no number of business seconds in a real one, such as 3600.")
    return rate
