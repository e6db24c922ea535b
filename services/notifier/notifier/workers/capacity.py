"""How many attempts may start now."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from notifier.workers.attempts import Attempt
from notifier.workers.circuit_breaker import CircuitState

_SEVERITY_1: Final = 1
_ANY_SEVERITY: Final = 4


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many attempts may start, and the least urgent severity that their mails may have."""

    attempts: int
    severity: int


def free_capacity(attempts: Collection[Attempt], servers: CircuitState, concurrency: int) -> Capacity:
    """What may start beside `attempts`, of at most `concurrency` at a time.

    - A quarter of the connections, at least one, is reserved for severity 1.
    - While no server is known to accept mails, one mail at a time probes, because servers lock accounts.
    - A mail of severity 1 may probe beside a less urgent one, and once the envelope of the one before is accepted.
    """
    free = concurrency - len(attempts)
    ordinary = sum(not attempt.mail.is_severity_1 for attempt in attempts)
    free_ordinary = min(free, concurrency - max(concurrency // 4, 1) - ordinary)
    match servers:
        case CircuitState.OPEN:
            return Capacity(0, _SEVERITY_1)
        case CircuitState.HALF_OPEN:
            probes = [attempt for attempt in attempts if attempt.is_probe]
            free_ordinary = min(free_ordinary, 0 if probes else 1)
            free = min(free, 0 if any(probe.mail.is_severity_1 and probe.is_connecting for probe in probes) else 1)
    return Capacity(free_ordinary, _ANY_SEVERITY) if free_ordinary > 0 else Capacity(free, _SEVERITY_1)
