"""The attempts in flight: how many more mails may be claimed now, and which of them may use a connection."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from notifier.domain.delivery import LEAST_URGENT
from notifier.handlers.claims import ClaimedMail
from notifier.workers.circuit_breaker import CircuitState

_SEVERITY_1: Final = 1
_LEAST_URGENT_OF_TICKETS: Final = 4
_MOST_STALLED: Final = 4
_AHEAD: Final = 3
"""Claimed for each connection, while a server accepts mails: one that uses it, and two composed ahead."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One claimed mail in flight. `is_probe`: no server was known to accept mails when it started.

    `claim_began`: by the monotonic clock, just before the claim.
    """

    mail: ClaimedMail
    is_probe: bool
    claim_began: float
    is_connecting: bool = True
    """Whether no server has accepted its envelope yet."""
    is_stalled: bool = False
    """Whether it waits for a server that hangs. Others may start until it goes on."""
    is_answered: bool = False
    """Whether no server is used any more, and only the result is to be saved."""
    is_given_up: bool = False
    """Whether its claim is released without a connection."""
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it may use a connection, or is given up."""
    is_severity_1: bool = field(init=False)
    is_report: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_severity_1 = self.mail.is_severity_1
        self.is_report = self.mail.is_report

    def give_up(self) -> None:
        self.is_given_up = True
        self.turn.set()


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many mails may be claimed, and the least urgent severity that they may have."""

    attempts: int
    severity: int

    @property
    def is_limited(self) -> bool:
        """Whether mails may be ready that must wait because of it, however few are claimed."""
        return self.attempts <= 0 or self.severity < LEAST_URGENT


def free_capacity(attempts: Collection[Attempt], servers: CircuitState, concurrency: int) -> Capacity:
    """What may be claimed beside `attempts`, with `concurrency` connections.

    - A quarter, at least one, is reserved for severity 1.
    - While a server accepts mails, further mails are claimed and composed ahead of their connections.
    - While no server is known to accept mails, one mail at a time probes, because servers lock accounts.
    - A mail of severity 1 may probe beside a less urgent one, and once the envelope of the one before is accepted;
      but not after a hang, because each mail that enters DATA then may be doubled.
    - One report at a time is in flight: it may be large, and never takes the place of several mails about tickets.
    - Attempts that wait for a server that hangs are not counted, up to three times `concurrency`.
    """
    on_server = [attempt for attempt in attempts if not attempt.is_answered]
    active = [attempt for attempt in on_server if not attempt.is_stalled]
    limit = _AHEAD * concurrency if servers is CircuitState.CLOSED else concurrency
    free = min(limit - len(active), _MOST_STALLED * concurrency - len(on_server))
    free_ordinary = min(free, _of_any_severity(limit) - sum(not attempt.is_severity_1 for attempt in active))
    probes = [attempt for attempt in active if attempt.is_probe]
    match servers:
        case CircuitState.OPEN:
            return Capacity(0, _SEVERITY_1)
        case CircuitState.TRIAL:
            free = free_ordinary = min(free, 0 if probes else 1)
        case CircuitState.HALF_OPEN:
            free_ordinary = min(free_ordinary, 0 if probes else 1)
            free = min(free, 0 if any(probe.is_severity_1 and probe.is_connecting for probe in probes) else 1)
    least_urgent = _LEAST_URGENT_OF_TICKETS if any(attempt.is_report for attempt in on_server) else LEAST_URGENT
    return Capacity(free_ordinary, least_urgent) if free_ordinary > 0 else Capacity(free, _SEVERITY_1)


def next_to_connect(attempts: Collection[Attempt], concurrency: int) -> Sequence[Attempt]:
    """Those of `attempts`, in the order of their claims, that may use one of the `concurrency` connections now.

    Severity 1 and probes go first, and a quarter is reserved for them.
    """
    waiting = [attempt for attempt in attempts if not attempt.turn.is_set() and not attempt.is_answered]
    using = [each for each in attempts if each.turn.is_set() and not each.is_answered and not each.is_stalled]
    free = concurrency - len(using)
    free_ordinary = _of_any_severity(concurrency) - sum(not attempt.is_severity_1 for attempt in using)
    urgent = [each for each in waiting if each.is_probe or each.is_severity_1][: max(free, 0)]
    ordinary = [each for each in waiting if not (each.is_probe or each.is_severity_1)]
    return [*urgent, *ordinary[: max(min(free_ordinary, free - len(urgent)), 0)]]


def _of_any_severity(limit: int) -> int:
    return limit - max(limit // 4, 1)
