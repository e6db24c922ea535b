"""The business clock of a stack: set by the environment at the first start, then kept with the state."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.instants import render_instant

from tocsin_local.errors import LocalError, StateRefusedError

PREFIX = "TOCSIN_CLOCK_"


@dataclass(frozen=True)
class StackClock:
    """Business time = epoch + (real now - origin) * rate. Instants have the form of API responses."""

    epoch: str
    rate: float
    origin: str

    def environment(self) -> dict[str, str]:
        """The settings of the services."""
        return {f"{PREFIX}EPOCH": self.epoch, f"{PREFIX}RATE": repr(self.rate), f"{PREFIX}ORIGIN": self.origin}


@dataclass(frozen=True)
class RequestedClock:
    """The clock that the environment requests; None where it says nothing."""

    epoch: str | None = None
    rate: float | None = None
    origin: str | None = None


NO_REQUEST = RequestedClock()


def requested_clock(environment: Mapping[str, str]) -> RequestedClock:
    """The clock in TOCSIN_CLOCK_EPOCH, _RATE and _ORIGIN. Raises LocalError for an invalid value."""
    return RequestedClock(_instant(environment, "EPOCH"), _rate(environment), _instant(environment, "ORIGIN"))


def new_clock(requested: RequestedClock, now: datetime) -> StackClock:
    """The clock of a new state. By default it starts at the present, at the rate of real time."""
    origin = requested.origin or render_instant(now)
    return StackClock(requested.epoch or origin, 1.0 if requested.rate is None else requested.rate, origin)


def check_unchanged(kept: StackClock, requested: RequestedClock) -> None:
    """Raise StateRefusedError if another clock is requested than the one kept with the state."""
    pairs = (
        ("EPOCH", kept.epoch, requested.epoch),
        ("RATE", kept.rate, requested.rate),
        ("ORIGIN", kept.origin, requested.origin),
    )
    for name, before, now in pairs:
        if now is not None and now != before:
            raise StateRefusedError(
                f"this state began with {PREFIX}{name}={before} and cannot continue with {now}: "
                "start without it, or on an empty state (make clean, or another TOCSIN_STATE)."
            )


def _instant(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(PREFIX + name)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise LocalError(f"{PREFIX}{name}={text!r} is not an instant with a zone, such as 2026-06-08T12:00:00Z.")
    return render_instant(instant)


def _rate(environment: Mapping[str, str]) -> float | None:
    text = environment.get(f"{PREFIX}RATE")
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise LocalError(f"{PREFIX}RATE={text!r} is not a number of business seconds per real second, such as 3600.")
    return rate
