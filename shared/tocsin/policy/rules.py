"""A policy compiled for one customer: what the timeline reads, without a look-up by name or a unit to convert."""

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.business_time import Business, Measure
from tocsin.events import Tier


@dataclass(frozen=True, slots=True)
class Target:
    """A promise on a clock: `due` and `warn` in microseconds on `measure`; `warn` None: no warning is given.

    `words` says it as the policy does: "5 business days".
    """

    measure: Measure
    due: int
    warn: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What one version of the policy promises one customer. Mappings by severity have all of 1 to 4 (RULES 3, 5, 6).

    `interval` is the time from one tier to the next. `channels` gives the average answer time in microseconds that a
    channel must stay under.
    """

    response: Mapping[int, Target]
    resolution: Mapping[int, Target]
    answer: Target
    interval: Mapping[int, Target]
    ladder: tuple[Tier, ...]
    warning_roles: tuple[str, ...]
    response_missed_roles: tuple[str, ...]
    answer_missed_roles: tuple[str, ...]
    stand_down: bool
    calendar: Business
    channels: Mapping[str, int]
