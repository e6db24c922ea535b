"""The attempts in flight, and how many more may start now."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from notifier.handlers.claims import ClaimedMail
from notifier.workers.circuit_breaker import CircuitState

_SEVERITY_1: Final = 1
_ANY_SEVERITY: Final = 4
_MOST_STALLED: Final = 4


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
    """Whether it waits for a server that hangs. Others may start meanwhile."""
    is_answered: bool = False
    """Whether no server is used any more, and only the result is to be saved."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many attempts may start, and the least urgent severity that their mails may have."""

    attempts: int
    severity: int

    @property
    def is_limited(self) -> bool:
        """Whether mails may be ready that must wait because of it, however few are claimed."""
        return self.attempts <= 0 or self.severity < _ANY_SEVERITY


def free_capacity(attempts: Collection[Attempt], servers: CircuitState, concurrency: int) -> Capacity:
    """What may start beside `attempts`, of at most `concurrency` at a time.

    - A quarter of the connections, at least one, is reserved for severity 1.
    - While no server is known to accept mails, one mail at a time probes, because servers lock accounts.
    - A mail of severity 1 may probe beside a less urgent one, and once the envelope of the one before is accepted;
      but not after a hang, because each mail that enters DATA then may be doubled.
    - Attempts that wait for a server that hangs are not counted, up to three times `concurrency`.
    """
    on_server = [attempt for attempt in attempts if not attempt.is_answered]
    active = [attempt for attempt in on_server if not attempt.is_stalled]
    free = min(concurrency - len(active), _MOST_STALLED * concurrency - len(on_server))
    ordinary = sum(not attempt.mail.is_severity_1 for attempt in active)
    free_ordinary = min(free, concurrency - max(concurrency // 4, 1) - ordinary)
    probes = [attempt for attempt in active if attempt.is_probe]
    match servers:
        case CircuitState.OPEN:
            return Capacity(0, _SEVERITY_1)
        case CircuitState.TRIAL:
            free = free_ordinary = min(free, 0 if probes else 1)
        case CircuitState.HALF_OPEN:
            free_ordinary = min(free_ordinary, 0 if probes else 1)
            free = min(free, 0 if any(probe.mail.is_severity_1 and probe.is_connecting for probe in probes) else 1)
    return Capacity(free_ordinary, _ANY_SEVERITY) if free_ordinary > 0 else Capacity(free, _SEVERITY_1)
