"""Status changes of one instant: the status that they lead to, and which of them have a lasting effect. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tocsin import lifecycle
from tocsin.events import FactType
from tocsin.lifecycle import StatusChange, TicketStatus

_PAUSES: Final = (FactType.PAUSED, FactType.RESUMED)
_ENDS_NO_CLOCK: Final = (*_PAUSES, FactType.REOPENED)
_ABSORBED: Final = {FactType.RESOLVED: (*_PAUSES, FactType.RESPONDED), FactType.CANCELLED: _PAUSES}
"""What happens at the instant of a close makes no difference to it; a resolve is also the response."""


class Outcome(NamedTuple):
    """The status after an instant, and those of its changes that the timeline can show."""

    status: TicketStatus
    lasting: Sequence[StatusChange]


def outcome_of(status: TicketStatus, changes: Iterable[StatusChange]) -> Outcome:
    """The outcome of the changes of one instant; `status` is the one before them."""
    reached, effective = apply_all(status, changes)
    return Outcome(reached, _lasting(status.severity, effective))


def apply_all(status: TicketStatus, changes: Iterable[StatusChange]) -> tuple[TicketStatus, list[StatusChange]]:
    """The status after these changes, and the changes that had an effect; the others were impossible then.

    Cycles are not counted (`cycle` is always 1), so that statuses reached in different ways compare equal.
    """
    effective = []
    for change in changes:
        after = lifecycle.apply(status, change)
        if after not in (None, status):
            effective.append(change)
            status = after._replace(cycle=1)
    return status, effective


def _lasting(severity: int, effective: Iterable[StatusChange]) -> list[StatusChange]:
    """The changes that the timeline can show; `severity` is the one before them."""
    left: list[StatusChange] = []
    for change in effective:
        if change.type is FactType.SEVERITY_CHANGED:
            left = _with_severity(severity, left, change)
        elif change.type in _PAUSES:
            left = _with_pause(left, change)
        else:
            left = [*_without_last(left, _ABSORBED.get(change.type, ())), change]
    return left


def _with_severity(severity: int, left: list[StatusChange], change: StatusChange) -> list[StatusChange]:
    """A severity under which no clock ended governed nothing: a later one replaces it."""
    ended = next((index + 1 for index in _backwards(left) if left[index].type not in (*_ENDS_NO_CLOCK, change.type)), 0)
    kept = [*left[:ended], *(each for each in left[ended:] if each.type is not change.type)]
    before = next((each.severity for each in reversed(kept) if each.type is change.type), severity)
    return kept if change.severity == before else [*kept, change]


def _with_pause(left: list[StatusChange], change: StatusChange) -> list[StatusChange]:
    """A pause that ends at once takes no time; a response in between makes no difference."""
    last = next((index for index in _backwards(left) if left[index].type is not FactType.RESPONDED), None)
    if last is not None and left[last].type in _PAUSES and left[last].type is not change.type:
        return [*left[:last], *left[last + 1 :]]
    return [*left, change]


def _without_last(left: list[StatusChange], absorbed: Sequence[FactType]) -> list[StatusChange]:
    """The changes up to the last one that is not of these types."""
    return left[: next((index + 1 for index in _backwards(left) if left[index].type not in absorbed), 0)]


def _backwards(left: list[StatusChange]) -> Iterable[int]:
    return reversed(range(len(left)))
