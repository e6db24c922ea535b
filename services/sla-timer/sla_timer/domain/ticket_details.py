"""What facts say of a ticket apart from its clocks: the assignee, and whether the severity is disputed. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from tocsin.business_time import micros
from tocsin.events import Assignee, Fact, FactType, Ticket
from tocsin.lifecycle import applies_at, in_order
from tocsin.policy import SeverityCriteria, disputed_severity

from sla_timer.domain.policy_history import PolicyHistory

_TYPES: Final = frozenset({FactType.SEVERITY_CHANGED, FactType.ASSESSED, FactType.ASSIGNED})


class TicketDetails(NamedTuple):
    """The details of a ticket at an instant. `suggested_severity` is null unless the severity is disputed."""

    assignee: Assignee | None
    suggested_severity: int | None


class DetailHistory:
    """The details of a ticket at every instant, by its facts and the policy (docs/rules.md#1-6)."""

    def __init__(self, ticket: Ticket, facts: Iterable[Fact], policies: PolicyHistory) -> None:
        opening, *later = in_order(facts)
        self._ticket = ticket
        self._facts = [fact for fact in later if fact.type in _TYPES]
        self._instants = [micros(applies_at(fact, opening)) for fact in self._facts]
        self._policies = policies
        self._changes = sorted([*self._instants, *policies.changes])
        self._known: dict[int, TicketDetails] = {}

    def at(self, instant: int) -> TicketDetails:
        """The details at `instant` (microseconds since the epoch), after all facts of that instant."""
        # Between two of these facts or versions of the policy, they stay as they are.
        period = bisect_right(self._changes, instant)
        details = self._known.get(period)
        if details is None:
            facts = self._facts[: bisect_right(self._instants, instant)]
            details = self._known[period] = self._after(
                facts, self._policies.matrices[self._policies.index_at(instant)]
            )
        return details

    def _after(self, facts: Sequence[Fact], matrix: Mapping[int, SeverityCriteria]) -> TicketDetails:
        assignees = [fact.assignee for fact in facts if fact.type is FactType.ASSIGNED]
        return TicketDetails(
            assignee=assignees[-1] if assignees else self._ticket.assignee,
            suggested_severity=disputed_severity(matrix, self._ticket, facts),
        )
