"""Numbers of clocks, as gauges show them. Pure."""

from enum import StrEnum
from math import nan
from typing import Final, NamedTuple

AT_RISK_SECONDS: Final = (900, 3600, 14_400)
"""A clock is at risk if its deadline is at most that far away."""


class OpenClockState(StrEnum):
    """The state of a clock that has not ended; the first that applies, from the top.

    `SILENT`: the resolution clock of a ticket whose provisional deadline has passed without a response, paused or not.
    `WARNED`: its warning was given.
    """

    BREACHED = "breached"
    SILENT = "silent"
    PAUSED = "paused"
    WARNED = "warned"
    RUNNING = "running"


class OpenClockCount(NamedTuple):
    """How many clocks are in a state, and how many of them have a deadline within each of AT_RISK_SECONDS."""

    clock: str
    severity: int
    state: OpenClockState
    clocks: int
    due_within: tuple[int, ...]

    @property
    def at_risk(self) -> tuple[int, ...]:
        """How many are at risk: not breached, not silent, and with a known deadline."""
        is_counting = self.state in (OpenClockState.RUNNING, OpenClockState.WARNED)
        return self.due_within if is_counting else tuple(0 for _ in self.due_within)


class MetCount(NamedTuple):
    """How many live clocks were met and breached in a window."""

    clock: str
    severity: int
    met: int
    breached: int

    @property
    def ratio(self) -> float:
        """Met out of met and breached; NaN where there is neither: no data is not a pass."""
        decided = self.met + self.breached
        return self.met / decided if decided else nan
