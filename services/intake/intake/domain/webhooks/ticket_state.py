"""What facts do to a ticket as far as a tool shows it: severity, answered, waiting, closed. Pure.

What is impossible at its instant has no effect (RULES, introduction).
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from tocsin.events import Fact, FactType

_CLOSING = (FactType.RESOLVED, FactType.CANCELLED)
_ENDING_NO_CLOCK = (FactType.PAUSED, FactType.RESUMED, FactType.REOPENED)
_UNDONE = {FactType.RESUMED: FactType.PAUSED, FactType.PAUSED: FactType.RESUMED}


class State(NamedTuple):
    """How a ticket stands. `responded`: there has been a response or a resolve."""

    severity: int
    responded: bool = False
    paused: bool = False
    closed: bool = False


class Effect(NamedTuple):
    """What a fact does; `severity` is of a severity change, `workaround` of a resolve."""

    type: FactType
    severity: int = 0
    workaround: bool = False

    @classmethod
    def of(cls, fact: Fact) -> Self:
        """What this fact does."""
        return cls(fact.type, fact.severity or 0, fact.resolution_kind == "workaround")


def applied(state: State, effect: Effect) -> State:
    """How the ticket stands after that; the same where it was impossible."""
    if effect.type is FactType.SEVERITY_CHANGED:
        return state._replace(severity=effect.severity)
    if effect.type is FactType.REOPENED:
        return state._replace(closed=False)
    if state.closed:
        return state
    match effect.type:
        case FactType.RESPONDED:
            return state._replace(responded=True)
        case FactType.PAUSED:
            return state._replace(paused=True)
        case FactType.RESUMED:
            return state._replace(paused=False)
        case FactType.RESOLVED if not (effect.workaround and state.severity == 1):
            return state._replace(responded=True, paused=False, closed=True)
        case FactType.CANCELLED:
            return state._replace(paused=False, closed=True)
    return state


def effects(state: State, happened: Iterable[Effect]) -> tuple[State, list[Effect]]:
    """How the ticket stands after these, and those of them that were possible."""
    possible = []
    for effect in happened:
        after = applied(state, effect)
        if after != state:
            possible.append(effect)
        state = after
    return state, possible


def lasting(severity: int, possible: Iterable[Effect]) -> list[Effect]:
    """What lasts of the effects of one instant, before which `severity` stood.

    A pause that ended at once was none, nor was a severity that no clock ended by. A resolve is a response.
    """
    left: list[Effect] = []
    for effect in possible:
        kind = effect.type
        # An answer in between makes no difference to a pause.
        last = next((index for index in reversed(range(len(left))) if left[index].type is not FactType.RESPONDED), None)
        if last is not None and left[last].type is _UNDONE.get(kind):
            del left[last]
        elif kind is FactType.SEVERITY_CHANGED:
            left = _without_last_severity(left)
            before = next((one.severity for one in reversed(left) if one.type is kind), severity)
            if effect.severity != before:
                left.append(effect)
        else:
            while kind in _CLOSING and left and left[-1].type in _ended_by(kind):
                left.pop()
            left.append(effect)
    return left


def _without_last_severity(left: list[Effect]) -> list[Effect]:
    for index in range(len(left) - 1, -1, -1):
        if left[index].type is FactType.SEVERITY_CHANGED:
            return [*left[:index], *left[index + 1 :]]
        if left[index].type not in _ENDING_NO_CLOCK:
            break
    return left


def _ended_by(closing: FactType) -> tuple[FactType, ...]:
    pauses = (FactType.PAUSED, FactType.RESUMED)
    return (*pauses, FactType.RESPONDED) if closing is FactType.RESOLVED else pauses
