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
from typing import Any, Final, NamedTuple

from tocsin.events import Fact, FactType
from tocsin.instants import render_instant
from tocsin.lifecycle import (
    StatusChange,
    TicketStatus,
    in_order,
    is_automatic_actor,
    without_automatic_responses,
)

from intake.domain.ticket_request import EventRequest
from intake.domain.webhooks.expected_state import ExpectedState, PlannedChange, expected_states, plan_changes
from intake.domain.webhooks.status_changes import Outcome, apply_all, outcome_of
from intake.domain.webhooks.ticket_values import NO_VALUES, TicketValues, missing_changes
from intake.domain.webhooks.update import TicketUpdate, sort_updates

_DERIVED: Final = "hook:"
"""The event ids of derived facts begin with this."""

_MICROSECOND: Final = timedelta(microseconds=1)


def reconcile(
    updates: Iterable[TicketUpdate],
    facts: Sequence[Fact],
    *,
    actor: str,
    opened_with: int | None = None,
    values: TicketValues = NO_VALUES,
    automatic_actors: Collection[str] = (),
) -> list[EventRequest]:
    """The events to add to a ticket with these updates and these facts, the opening (number 1) among them.

    `actor` is used for changes for which the updates name none. `opened_with` is the severity that the earliest update
    states for the opening; None if the ticket was not opened by an update. `values` are those of the opening.
    Responses of `automatic_actors` are no responses (docs/rules.md#3-6): neither a known fact nor an update of theirs
    counts as one.
    """
    ordered, known = sort_updates(updates), in_order(facts)
    drafts = [
        *_status_drafts(ordered, known, opened_with, actor, automatic_actors),
        *_value_drafts(ordered, known, values, was_opened_by_update=opened_with is not None),
    ]
    used = {fact.event_id for fact in facts}
    events = []
    for draft in drafts:
        event_id = _unused(f"{_DERIVED}{draft['type']}:{render_instant(draft['occurred_at'])}", used)
        used.add(event_id)
        events.append(EventRequest.model_validate(draft | {"event_id": event_id, "actor": draft["actor"] or actor}))
    return events


def _is_derived(fact: Fact) -> bool:
    return fact.event_id.startswith(_DERIVED)


_Draft = dict[str, Any]
"""The fields of an event, without its id, and with the actor if an update names one."""


def _value_drafts(
    ordered: Sequence[TicketUpdate], facts: Sequence[Fact], values: TicketValues, *, was_opened_by_update: bool
) -> Iterator[_Draft]:
    for change in missing_changes(
        ordered, facts, _is_derived, opened_with=values, was_opened_by_update=was_opened_by_update
    ):
        draft = {"type": change.type.value, "occurred_at": change.at, "actor": change.actor}
        if change.type is FactType.ASSESSED:
            yield draft | {"impact": change.values.impact.model_dump()}
        else:
            assignee = change.values.assignee
            yield draft | {"assignee": assignee.model_dump() if assignee is not None else None}


def _status_drafts(
    ordered: Sequence[TicketUpdate],
    facts: Sequence[Fact],
    opened_with: int | None,
    actor: str,
    automatic_actors: Collection[str],
) -> Iterator[_Draft]:
    opening, *later = without_automatic_responses(facts, automatic_actors)
    opened_at = opening.occurred_at
    facts_at: dict[datetime, list[Fact]] = defaultdict(list)
    for fact in later:
        facts_at[max(fact.occurred_at, opened_at)].append(fact)
    states = [
        replace(state, responded=state.responded and not is_automatic_actor(state.actor or actor, automatic_actors))
        for state in expected_states(ordered, opened_at, opened_with)
    ]
    states_at = {at: list(group) for at, group in groupby(states, key=lambda state: state.at)}
    status = TicketStatus(opening.severity or 0)
    for at in sorted({*facts_at, *states_at}):
        here, expected = facts_at.get(at, []), states_at.get(at, [])
        plan = _plan(status, here, expected) if expected else _Plan()
        status, _ = apply_all(status, plan.around(here))
        yield from (_draft(planned, at - _MICROSECOND, expected) for planned in plan.before)
        yield from (_draft(planned, at, expected) for planned in plan.after)


class _Plan(NamedTuple):
    """The changes to add at an instant: after its facts, and just before them."""

    after: Sequence[PlannedChange] = ()
    before: Sequence[PlannedChange] = ()

    def around(self, facts: Sequence[Fact]) -> list[StatusChange]:
        """All changes of the instant, in order."""
        return [*_changes(self.before), *map(StatusChange.of, facts), *_changes(self.after)]


def _plan(status: TicketStatus, here: Sequence[Fact], expected: Sequence[ExpectedState]) -> _Plan:
    """The changes that the facts of an instant lack; `status` is the one before that instant.

    The goal is the outcome of the facts that others posted, followed by the expected states. The first plan that
    reaches it counts.
    """
    goal = _goal(status, here, expected)
    for plan in _plans(status, here, expected):
        if outcome_of(status, plan.around(here)) == goal:
            return plan
    # The details of this instant cannot be reached any more: only its last status counts.
    reached, _ = apply_all(status, map(StatusChange.of, here))
    return _Plan(_plan_status(reached, goal.status, expected))


def _goal(status: TicketStatus, here: Sequence[Fact], expected: Sequence[ExpectedState]) -> Outcome:
    posted = [StatusChange.of(fact) for fact in here if not _is_derived(fact)]
    _, planned = plan_changes(apply_all(status, posted)[0], expected)
    return outcome_of(status, [*posted, *_changes(planned)])


def _plans(status: TicketStatus, here: Sequence[Fact], expected: Sequence[ExpectedState]) -> Iterator[_Plan]:
    """What may have to be added, the simplest first."""
    yield _Plan()
    changes = list(map(StatusChange.of, here))
    reached, _ = apply_all(status, changes)
    # The severity may have to be changed back first, as it is the last change of an update.
    change_back = PlannedChange(StatusChange(FactType.SEVERITY_CHANGED, status.severity))
    for corrections in ([], [change_back]):
        corrected, _ = apply_all(reached, _changes(corrections))
        for first in range(len(expected)):
            yield _Plan([*corrections, *plan_changes(corrected, expected[first:])[1]])
    # If a clock ended under a severity that did not govern it, everything else happens one microsecond earlier.
    stated = [state for state in expected if not state.is_opening]
    if len({state.update for state in stated}) == 1:
        early, before = plan_changes(status, [replace(state, severity=None) for state in stated])
        late, _ = apply_all(early, changes)
        yield _Plan(plan_changes(late, expected)[1], before)


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


def _draft(planned: PlannedChange, occurred_at: datetime, expected: Sequence[ExpectedState]) -> _Draft:
    change, state = planned
    if state is not None and not state.actor:  # another update of the same instant may name the actor
        state = next((each for each in expected if each.actor and each.explains(change)), state)
    resolution_kind = "workaround" if change.workaround else "resolved"
    return {
        "type": change.type.value,
        "occurred_at": occurred_at,
        "actor": state.actor if state else None,
        "severity": change.severity or None,
        "reason": state.tool_status if state and not change.severity else None,
        "resolution_kind": resolution_kind if change.type is FactType.RESOLVED else None,
    }


def _unused(event_id: str, used: Iterable[str]) -> str:
    """The id, with a number from 2 on if the ticket has it already."""
    numbered = (event_id if number == 1 else f"{event_id}:{number}" for number in count(1))
    return next(each for each in numbered if each not in used)
