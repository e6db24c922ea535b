"""The states that the updates of a ticket expect, by instant, and the changes that lead to them. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Self

from tocsin.events import FactType
from tocsin.lifecycle import StatusChange, TicketStatus

from intake.domain.webhooks.config.integrations import Status
from intake.domain.webhooks.status_changes import apply_all
from intake.domain.webhooks.update import TicketUpdate, sort_updates


class Phase(StrEnum):
    """Whether a ticket is open, waits for the customer, or how it was closed."""

    OPEN = "open"
    WAITING = "waiting"
    RESOLVED = "resolved"
    WORKAROUND = "workaround"
    CANCELLED = "cancelled"


_PHASES: Final[dict[Status, Phase | None]] = {
    "new": Phase.OPEN,
    "in_progress": Phase.OPEN,
    "responded": Phase.OPEN,
    "waiting_customer": Phase.WAITING,
    "resolved": Phase.RESOLVED,
    "workaround": Phase.WORKAROUND,
    "cancelled": Phase.CANCELLED,
    "ignored": None,
}
_RESPONDED: Final = ("responded", "waiting_customer")
_UNRESOLVED: Final = (Phase.OPEN, Phase.WAITING)


@dataclass(frozen=True, slots=True)
class ExpectedState:
    """The state of a ticket at an instant, as an update states it. None: not stated.

    `responded`: a human has responded by then. `actor` and `tool_status` are who changed the ticket and the tool's word
    for the status. `update` is the position of the update among those of the ticket. `is_opening` marks the severity at
    the opening, which comes before all else.
    """

    at: datetime
    responded: bool = False
    phase: Phase | None = None
    severity: int | None = None
    actor: str | None = None
    tool_status: str | None = None
    update: int = -1
    is_opening: bool = False

    def explains(self, change: StatusChange) -> bool:
        """Whether the change makes this state true."""
        match change.type:
            case FactType.SEVERITY_CHANGED:
                return self.severity == change.severity
            case FactType.RESPONDED:
                return self.responded
            case FactType.PAUSED:
                return self.phase is Phase.WAITING
            case FactType.RESOLVED:
                return self.phase is (Phase.WORKAROUND if change.workaround else Phase.RESOLVED)
            case FactType.CANCELLED:
                return self.phase is Phase.CANCELLED
        return self.phase in _UNRESOLVED

    @classmethod
    def of_status(cls, status: TicketStatus, like: Self) -> Self:
        """`status` as the expected state at the instant of `like`, and closed as `like` states."""
        phase = Phase.WAITING if status.paused else Phase.OPEN
        if status.closed:
            phase = Phase.RESOLVED if status.responded else Phase.CANCELLED  # a resolve is also the response
            if like.phase is Phase.CANCELLED or (like.phase is Phase.WORKAROUND and status.severity != 1):
                phase = like.phase
        return cls(like.at, status.responded, phase, status.severity)


class PlannedChange(NamedTuple):
    """A change to be made, and the expected state that it makes true; None if it only corrects an earlier change."""

    change: StatusChange
    expected: ExpectedState | None = None


def expected_states(
    updates: Iterable[TicketUpdate], opened_at: datetime, opened_with: int | None
) -> list[ExpectedState]:
    """The expected states in the order of their instants, none before the opening; see `reconcile`.

    At one instant, responses come first, then the other states in the order of their updates.
    """
    states = [ExpectedState(opened_at, severity=opened_with, is_opening=True)] if opened_with is not None else []
    for position, update in enumerate(sort_updates(updates)):
        states += [replace(state, update=position) for state in _states_of(update, opened_at)]
    return sorted(states, key=lambda state: (state.at, not state.is_opening, not _is_response_only(state)))


def plan_changes(status: TicketStatus, states: Sequence[ExpectedState]) -> tuple[TicketStatus, list[PlannedChange]]:
    """The changes that make the expected states of one instant true, one after the other, and the status after them.

    The severity of a state changes last. The exception is a workaround, which is impossible on severity 1
    (docs/rules.md#3-14); one that still is impossible then is left out.
    """
    planned: list[PlannedChange] = []
    for state in states:
        status, effective = apply_all(status, _changes_for(state, status))
        planned += [PlannedChange(change, state) for change in effective]
    return status, planned


def _states_of(update: TicketUpdate, opened_at: datetime) -> Iterator[ExpectedState]:
    phase = _PHASES[update.status] if update.status is not None else None
    # The actor of an update did not necessarily make the changes before it.
    if update.responded_at is not None:
        actor = update.actor if update.responded_at == update.at else None
        yield ExpectedState(max(update.responded_at, opened_at), responded=True, actor=actor)
    if update.resolved_at is not None and phase in (Phase.RESOLVED, Phase.WORKAROUND):
        actor = update.actor if update.resolved_at == update.at else None
        resolved_at = max(update.resolved_at, opened_at)
        yield ExpectedState(resolved_at, phase=phase, actor=actor, tool_status=update.tool_status)
    yield ExpectedState(
        at=max(update.at, opened_at),
        responded=update.status in _RESPONDED,
        phase=phase,
        severity=update.severity,
        actor=update.actor,
        tool_status=update.tool_status,
    )


def _is_response_only(state: ExpectedState) -> bool:
    return state.responded and state.phase is None


def _changes_for(state: ExpectedState, status: TicketStatus) -> Iterator[StatusChange]:
    """The changes that the state may need, in order. Those that are not needed are impossible and have no effect."""
    severity = [StatusChange(FactType.SEVERITY_CHANGED, state.severity)] if state.severity is not None else []
    if state.phase in _UNRESOLVED:
        yield StatusChange(FactType.REOPENED)
    if state.responded:
        yield StatusChange(FactType.RESPONDED)
    match state.phase:
        case Phase.OPEN:
            yield StatusChange(FactType.RESUMED)
        case Phase.WAITING:
            yield StatusChange(FactType.PAUSED)
        case Phase.CANCELLED:
            yield StatusChange(FactType.CANCELLED)
        case Phase.RESOLVED:
            yield StatusChange(FactType.RESOLVED)
        case Phase.WORKAROUND:
            if not status.closed and status.severity == 1:
                yield from severity
            yield StatusChange(FactType.RESOLVED, workaround=True)
    yield from severity
