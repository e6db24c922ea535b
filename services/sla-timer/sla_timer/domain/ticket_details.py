"""What facts say of a ticket apart from its clocks: the assignee, and whether the severity is disputed. Pure."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from tocsin.business_time import micros
from tocsin.events import Assignee, Fact, FactType, Ticket
from tocsin.lifecycle import applies_at, in_order
from tocsin.policy import disputed_severity

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
        self._facts = [(micros(applies_at(fact, opening)), fact) for fact in later if fact.type in _TYPES]
        self._policies = policies

    def at(self, instant: int) -> TicketDetails:
        """The details at `instant` (microseconds since the epoch), after all facts of that instant."""
        facts = [fact for at, fact in self._facts if at <= instant]
        assignees = [fact.assignee for fact in facts if fact.type is FactType.ASSIGNED]
        return TicketDetails(
            assignee=assignees[-1] if assignees else self._ticket.assignee,
            suggested_severity=disputed_severity(self._policies.matrix_at(instant), self._ticket, facts),
        )
