"""The order of a ticket's facts, and what each fact does to the ticket (docs/rules.md#0-facts-and-timelines). Pure.

    status = TicketStatus(severity=3)
    status_after = apply(status, StatusChange(FactType.PAUSED))  # None: impossible at that status

Only what the facts alone decide is here. Clocks and the escalation ladder also depend on the policy and on the passing
of time: they are sla-timer's.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, Self, TypeVar

from tocsin.events import Fact, FactType


class _Comparable(Protocol):
    def __gt__(self, other: Self, /) -> bool: ...


InstantT = TypeVar("InstantT", bound=_Comparable)


def order_key(*, number: int, occurred_at: InstantT, opened_at: InstantT) -> tuple[InstantT, int]:
    """The key by which facts apply in ascending order: when the fact takes effect, and its number in the ticket.

    A fact that occurred before the opening takes effect at the opening (docs/rules.md#0-3). Instants are datetimes, or
    integers of one unit.
    """
    return (occurred_at if occurred_at > opened_at else opened_at), number


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """The facts of one ticket in the order in which they apply (docs/rules.md#0-4), the opening (number 1) first.

    Raises ValueError if the opening is missing.
    """
    known = list(facts)
    opening = next((fact for fact in known if fact.number == 1), None)
    if opening is None:
        raise ValueError("the opening of the ticket (fact number 1) is missing")
    opened_at = opening.occurred_at
    return sorted(
        known,
        key=lambda fact: order_key(number=fact.number, occurred_at=fact.occurred_at, opened_at=opened_at),
    )


class Change(Protocol):
    """The part of a fact that can change a ticket's status.

    `severity` is that of an opening or a severity change, otherwise 0; `workaround` is true for such a resolve.
    """

    @property
    def type(self) -> FactType: ...

    @property
    def severity(self) -> int: ...

    @property
    def workaround(self) -> bool: ...


class StatusChange(NamedTuple):
    """A `Change` alone, without the fact's instant and number."""

    type: FactType
    severity: int = 0
    workaround: bool = False

    @classmethod
    def of(cls, fact: Fact) -> Self:
        return cls(fact.type, fact.severity or 0, fact.resolution_kind == "workaround")


class TicketStatus(NamedTuple):
    """The status of a ticket between two facts; the default is a ticket that was just opened.

    `severity` is the reported one: set while the ticket is closed, it governs the clocks from the reopen on.
    `responded`: there has been a response or a resolve. `cycle` counts from 1, one more with each reopen.
    """

    severity: int
    responded: bool = False
    paused: bool = False
    closed: bool = False
    cycle: int = 1


def apply(status: TicketStatus, change: Change) -> TicketStatus | None:
    """The status after `change`, or None if the fact is impossible at this status (docs/rules.md#0-8).

    An acknowledgement or an escalation of an open ticket leaves the status as it is. Whether the ladder makes it
    impossible is not decided here.
    """
    kind = change.type
    severity, responded, paused, closed, cycle = status
    if kind is FactType.SEVERITY_CHANGED:
        if change.severity in (0, severity):
            return None
        return TicketStatus(change.severity, responded, paused, closed, cycle)
    if closed:
        return TicketStatus(severity, responded, cycle=cycle + 1) if kind is FactType.REOPENED else None
    match kind:
        case FactType.RESPONDED:
            return None if responded else TicketStatus(severity, True, paused, cycle=cycle)
        case FactType.PAUSED:
            return None if paused else TicketStatus(severity, responded, True, cycle=cycle)
        case FactType.RESUMED:
            return TicketStatus(severity, responded, cycle=cycle) if paused else None
        case FactType.RESOLVED:
            if change.workaround and severity == 1:
                return None
            return TicketStatus(severity, True, closed=True, cycle=cycle)
        case FactType.CANCELLED:
            return TicketStatus(severity, responded, closed=True, cycle=cycle)
        case FactType.ACKNOWLEDGED | FactType.ESCALATED:
            return status
    return None  # a second opening, or a reopen of an open ticket


class AppliedFact(NamedTuple):
    """A fact with the status before and after it; `after` is None if the fact was impossible."""

    fact: Fact
    before: TicketStatus
    after: TicketStatus | None


def replay(facts: Iterable[Fact]) -> Iterator[AppliedFact]:
    """Every fact after the opening, in the order in which they apply, with its effect. Raises as `in_order` does."""
    opening, *later = in_order(facts)
    status = TicketStatus(opening.severity or 0)
    for fact in later:
        after = apply(status, StatusChange.of(fact))
        yield AppliedFact(fact, status, after)
        status = status if after is None else after


def status_of(facts: Iterable[Fact]) -> TicketStatus:
    """The status of a ticket after all its facts, given in any order. Raises as `in_order` does."""
    opening, *later = in_order(facts)
    status = TicketStatus(opening.severity or 0)
    for fact in later:
        status = apply(status, StatusChange.of(fact)) or status
    return status
