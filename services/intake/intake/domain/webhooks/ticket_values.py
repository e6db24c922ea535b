"""The impact and the assignee of a ticket, as its updates state them and as its facts have them. Pure.

An update replaces the assignee, or those criteria of the impact that it states, from its instant on. So does a fact
that others posted. Where all facts up to an instant lead to other values, a fact is missing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from tocsin.events import Assignee, Fact, FactType, Impact

from intake.domain.webhooks.update import TicketUpdate


@dataclass(frozen=True, slots=True)
class TicketValues:
    """What may change about a ticket without changing its status. `assignee` None: nobody."""

    impact: Impact = field(default_factory=Impact)
    assignee: Assignee | None = None

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> Self:
        """The values in the body of a ticket: those at its opening."""
        assignee = body.get("assignee")
        return cls(
            Impact.model_validate(body.get("impact") or {}),
            Assignee.model_validate(assignee) if assignee is not None else None,
        )

    def after_fact(self, fact: Fact) -> Self:
        """The values after a fact; only `assessed` and `assigned` change them."""
        if fact.type is FactType.ASSESSED:
            return type(self)(fact.impact or Impact(), self.assignee)
        return type(self)(self.impact, fact.assignee) if fact.type is FactType.ASSIGNED else self

    def after_update(self, update: TicketUpdate) -> Self:
        """The values after an update, which replaces what it states."""
        criteria = update.impact.model_dump(exclude_none=True) if update.impact is not None else {}
        assignee = None if update.unassigned else update.assignee or self.assignee
        return type(self)(self.impact.model_copy(update=criteria), assignee)


NO_VALUES: Final = TicketValues()


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A missing fact of this type: the ticket has `values` from the instant on, as the update of `actor` states."""

    at: datetime
    type: FactType
    values: TicketValues
    actor: str | None


def missing_changes(
    ordered: Sequence[TicketUpdate],
    facts: Sequence[Fact],
    is_derived: Callable[[Fact], bool],
    *,
    opened_with: TicketValues,
    was_opened_by_update: bool,
) -> Iterator[ValueChange]:
    """The `assessed` and `assigned` facts that a ticket lacks, in the order of their instants.

    `ordered` are its updates, `facts` its facts in order, beginning with the opening, and `opened_with` the values at
    the opening. If an update opened the ticket, those of the earliest update count instead: it may have arrived later.
    """
    opened_at = facts[0].occurred_at
    facts_at: dict[datetime, list[Fact]] = defaultdict(list)
    for fact in facts[1:]:
        facts_at[max(fact.occurred_at, opened_at)].append(fact)
    updates_at: dict[datetime, list[TicketUpdate]] = defaultdict(list)
    if was_opened_by_update:
        updates_at[opened_at].append(ordered[0])
    for update in ordered:
        updates_at[max(update.at, opened_at)].append(update)
    known, wanted = opened_with, NO_VALUES if was_opened_by_update else opened_with
    for at in sorted({*facts_at, *updates_at}):
        for fact in facts_at.get(at, ()):
            known = known.after_fact(fact)
            wanted = wanted if is_derived(fact) else wanted.after_fact(fact)
        updates = updates_at.get(at, [])
        for update in updates:
            wanted = wanted.after_update(update)
        if not updates:
            continue
        if known.impact != wanted.impact:
            yield ValueChange(at, FactType.ASSESSED, wanted, updates[-1].actor)
        if known.assignee != wanted.assignee:
            yield ValueChange(at, FactType.ASSIGNED, wanted, updates[-1].actor)
        known = wanted
