"""Compares the updates of a ticket with its known facts, and derives the missing facts. Pure.

Each update states how the ticket was at some instants. `reconcile` goes through these instants in order, beside the
known facts. Where the facts of an instant lead to another status than the updates state, it adds facts at that same
instant. New facts have the highest numbers, so they apply last; a fact that they contradict becomes impossible and is
ignored (docs/rules.md#0-8). Therefore neither the order nor the number of the deliveries matters
(docs/decisions/0021-facts-derived-from-ticket-updates.md).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, groupby
from typing import Final, NamedTuple

from tocsin.events import Fact, FactType
from tocsin.instants import render_instant
from tocsin.lifecycle import StatusChange, TicketStatus, in_order

from intake.domain.ticket_request import EventRequest
from intake.domain.webhooks.expected_state import ExpectedState, PlannedChange, expected_states, plan_changes
from intake.domain.webhooks.status_changes import apply_all, lasting
from intake.domain.webhooks.update import TicketUpdate

EVENT_ID_PREFIX: Final = "hook:"
"""The event ids of derived facts begin with this."""

_MICROSECOND: Final = timedelta(microseconds=1)


class _Plan(NamedTuple):
    """The changes to add at an instant: after its facts, and just before them."""

    after: Sequence[PlannedChange] = ()
    before: Sequence[PlannedChange] = ()


def reconcile(
    updates: Iterable[TicketUpdate], facts: Sequence[Fact], *, actor: str, opened_with: int | None = None
) -> list[EventRequest]:
    """The events to add to a ticket with these updates and these facts, the opening (number 1) among them.

    `actor` is used for changes for which the updates name none. `opened_with` is the severity that the earliest update
    states for the opening; None if the ticket was not opened by an update.
    """
    opening, *later = in_order(facts)
    opened_at = opening.occurred_at
    facts_at: dict[datetime, list[Fact]] = defaultdict(list)
    for fact in later:
        facts_at[max(fact.occurred_at, opened_at)].append(fact)
    states = expected_states(updates, opened_at, opened_with)
    states_at = {at: list(group) for at, group in groupby(states, key=lambda state: state.at)}
    event_ids = {fact.event_id for fact in facts}
    status = TicketStatus(opening.severity or 0)
    events: list[EventRequest] = []
    for at in sorted({*facts_at, *states_at}):
        here, expected = facts_at.get(at, []), states_at.get(at, [])
        plan = _plan(status, here, expected) if expected else _Plan()
        status, _ = apply_all(status, [*_changes(plan.before), *map(StatusChange.of, here), *_changes(plan.after)])
        new = list(_events(plan, at, expected, actor, event_ids))
        events += new
        event_ids |= {event.event_id for event in new if event.event_id is not None}
    return events


def _plan(status: TicketStatus, here: Sequence[Fact], expected: Sequence[ExpectedState]) -> _Plan:
    """The changes that the facts of an instant lack; `status` is the one before that instant.

    The goal is the outcome of the facts that others posted, followed by the expected states.
    """
    posted = [StatusChange.of(fact) for fact in here if not fact.event_id.startswith(EVENT_ID_PREFIX)]
    wanted, effective = apply_all(status, posted)
    wanted, planned = plan_changes(wanted, expected)
    goal = lasting(status.severity, [*effective, *_changes(planned)])
    changes = list(map(StatusChange.of, here))
    reached, effective = apply_all(status, changes)
    if reached == wanted and lasting(status.severity, effective) == goal:
        return _Plan()
    # Appended changes may do. The severity may have to be changed back first, as it is the last change of an update.
    change_back = PlannedChange(StatusChange(FactType.SEVERITY_CHANGED, status.severity))
    for corrections in ([], [change_back]):
        corrected, _ = apply_all(reached, _changes(corrections))
        for first in range(len(expected)):
            appended = [*corrections, *plan_changes(corrected, expected[first:])[1]]
            if lasting(status.severity, [*effective, *_changes(appended)]) == goal:
                return _Plan(appended)
    # If a clock ended under a severity that did not govern it, everything else happens one microsecond earlier.
    stated = [state for state in expected if not state.is_opening]
    early, before = plan_changes(status, [replace(state, severity=None) for state in stated])
    late, effective = apply_all(early, changes)
    appended = plan_changes(late, expected)[1]
    is_one_update = len({state.update for state in stated}) == 1
    if is_one_update and lasting(status.severity, [*_changes(before), *effective, *_changes(appended)]) == goal:
        return _Plan(appended, before)
    # The details of this instant cannot be reached any more: only its last status counts.
    return _Plan(_plan_status(reached, wanted, expected))


def _plan_status(reached: TicketStatus, wanted: TicketStatus, expected: Sequence[ExpectedState]) -> list[PlannedChange]:
    """The changes from one status to another, each for the last expected state that explains it."""
    # A ticket that was cancelled without a response cannot be responded to before it is reopened.
    needs_reopen = reached.closed and wanted.responded and not reached.responded
    reopened = [StatusChange(FactType.REOPENED)] if needs_reopen else []
    target = ExpectedState.of_status(wanted, like=expected[-1])
    changes = [*reopened, *_changes(plan_changes(apply_all(reached, reopened)[0], [target])[1])]
    return [
        PlannedChange(change, next((state for state in reversed(expected) if state.explains(change)), None))
        for change in changes
    ]


def _changes(planned: Iterable[PlannedChange]) -> list[StatusChange]:
    return [each.change for each in planned]


def _events(
    plan: _Plan, at: datetime, expected: Sequence[ExpectedState], actor: str, event_ids: Collection[str]
) -> Iterator[EventRequest]:
    """The planned changes as events, with ids other than `event_ids`."""
    used = set(event_ids)
    timed = [(planned, at - _MICROSECOND) for planned in plan.before] + [(planned, at) for planned in plan.after]
    for (change, state), occurred_at in timed:
        event_id = _unused(f"{EVENT_ID_PREFIX}{change.type}:{render_instant(occurred_at)}", used)
        used.add(event_id)
        if state is not None and not state.actor:  # another update of the same instant may name the actor
            state = next((each for each in expected if each.actor and each.explains(change)), state)
        resolution_kind = "workaround" if change.workaround else "resolved"
        yield EventRequest.model_validate(
            {
                "type": change.type.value,
                "occurred_at": occurred_at,
                "actor": (state.actor if state else None) or actor,
                "event_id": event_id,
                "severity": change.severity or None,
                "reason": state.tool_status if state and not change.severity else None,
                "resolution_kind": resolution_kind if change.type is FactType.RESOLVED else None,
            }
        )


def _unused(event_id: str, used: Collection[str]) -> str:
    """The id, with a number from 2 on if the ticket has it already."""
    numbered = (event_id if number == 1 else f"{event_id}:{number}" for number in count(1))
    return next(each for each in numbered if each not in used)
