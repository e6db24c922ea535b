"""Status changes of one instant: the status that they lead to, and which of them have a lasting effect. Pure."""

from collections.abc import Iterable
from typing import Final

from tocsin import lifecycle
from tocsin.events import FactType
from tocsin.lifecycle import StatusChange, TicketStatus

_CLOSING: Final = (FactType.RESOLVED, FactType.CANCELLED)
_ENDS_NO_CLOCK: Final = (FactType.PAUSED, FactType.RESUMED, FactType.REOPENED)
_OPPOSITE: Final = {FactType.RESUMED: FactType.PAUSED, FactType.PAUSED: FactType.RESUMED}


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


def lasting(severity: int, effective: Iterable[StatusChange]) -> list[StatusChange]:
    """The changes of one instant that the timeline can show; `severity` is the one before them.

    A pause that ends at once takes no time. A severity under which no clock ended governed nothing. A resolve is also
    the response.
    """
    left: list[StatusChange] = []
    for change in effective:
        kind = change.type
        # A response in between makes no difference to a pause.
        last = next((index for index in reversed(range(len(left))) if left[index].type is not FactType.RESPONDED), None)
        if last is not None and left[last].type is _OPPOSITE.get(kind):
            del left[last]
        elif kind is FactType.SEVERITY_CHANGED:
            left = _without_last_severity(left)
            before = next((each.severity for each in reversed(left) if each.type is kind), severity)
            if change.severity != before:
                left.append(change)
        else:
            while kind in _CLOSING and left and left[-1].type in _absorbed_by(kind):
                left.pop()
            left.append(change)
    return left


def _without_last_severity(left: list[StatusChange]) -> list[StatusChange]:
    for index in range(len(left) - 1, -1, -1):
        if left[index].type is FactType.SEVERITY_CHANGED:
            return [*left[:index], *left[index + 1 :]]
        if left[index].type not in _ENDS_NO_CLOCK:
            break
    return left


def _absorbed_by(closing: FactType) -> tuple[FactType, ...]:
    pauses = (FactType.PAUSED, FactType.RESUMED)
    return (*pauses, FactType.RESPONDED) if closing is FactType.RESOLVED else pauses
