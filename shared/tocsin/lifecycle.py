"""The order of a ticket's facts, and what each fact does to the ticket (docs/rules.md#0-facts-and-timelines). Pure.

    status = TicketStatus(severity=3)
    status_after = apply(status, StatusChange(FactType.PAUSED))  # None: impossible at that status

This module covers only what depends on the facts alone. Clocks and the escalation ladder also depend on the policy and
on the passing of time: sla-timer evaluates them.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple, Protocol, Self

from tocsin.events import Fact, FactType


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """The facts of one ticket in the order in which they apply: by (`occurred_at`, number) (docs/rules.md#0-4).

    The opening (number 1) is first. Raises ValueError if it is missing.
    """
    known = list(facts)
    opening = next((fact for fact in known if fact.number == 1), None)
    if opening is None:
        raise ValueError("the opening of the ticket (fact number 1) is missing")
    return sorted(known, key=lambda fact: (applies_at(fact, opening), fact.number))


def is_automatic_actor(actor: str, automatic_actors: Iterable[str]) -> bool:
    """Whether responses of the actor are automatic receipts, which are not responses (docs/rules.md#3-6).

    `automatic_actors` are the policy's patterns. Each matches whole names; `*` stands for any characters.
    """
    return any(_matches(pattern, actor) for pattern in automatic_actors)


def is_automatic_response(fact: Fact, automatic_actors: Iterable[str]) -> bool:
    """Whether the fact is an automatic receipt."""
    return fact.type is _RESPONDED and fact.actor is not None and is_automatic_actor(fact.actor, automatic_actors)


def without_automatic_responses(facts: Iterable[Fact], automatic_actors: Collection[str]) -> list[Fact]:
    """The facts without automatic receipts, which change no status."""
    return [fact for fact in facts if not is_automatic_response(fact, automatic_actors)]


def _matches(pattern: str, text: str) -> bool:
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def applies_at(fact: Fact, opening: Fact) -> datetime:
    """When a fact applies: when it occurred, but not before the ticket's opening (docs/rules.md#0-3)."""
    return max(fact.occurred_at, opening.occurred_at)


# `apply` is called often, and looking a member up in its enumeration takes several times as long as a global name.
_RESPONDED: Final = FactType.RESPONDED
_SEVERITY_CHANGED: Final = FactType.SEVERITY_CHANGED
_PAUSED: Final = FactType.PAUSED
_RESUMED: Final = FactType.RESUMED
_RESOLVED: Final = FactType.RESOLVED
_REOPENED: Final = FactType.REOPENED
_CANCELLED: Final = FactType.CANCELLED
_ACKNOWLEDGED: Final = FactType.ACKNOWLEDGED
_ESCALATED: Final = FactType.ESCALATED
_ASSESSED: Final = FactType.ASSESSED
_ASSIGNED: Final = FactType.ASSIGNED


class Change(Protocol):
    """The part of a fact that can change a ticket's status.

    `severity` is that of an opening or a severity change, otherwise 0; `workaround` is true for a workaround.
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
    impossible is not decided here. An assessment or an assignment is always possible and changes no status.
    """
    kind = change.type
    severity, responded, paused, closed, cycle = status
    if kind is _ASSESSED or kind is _ASSIGNED:
        return status
    if kind is _SEVERITY_CHANGED:
        if change.severity in (0, severity):
            return None
        return TicketStatus(change.severity, responded, paused, closed, cycle)
    if closed:
        return TicketStatus(severity, responded, False, False, cycle + 1) if kind is _REOPENED else None
    if kind is _RESPONDED:
        return None if responded else TicketStatus(severity, True, paused, False, cycle)
    if kind is _PAUSED:
        return None if paused else TicketStatus(severity, responded, True, False, cycle)
    if kind is _RESUMED:
        return TicketStatus(severity, responded, False, False, cycle) if paused else None
    if kind is _RESOLVED:
        is_acceptable = not change.workaround or severity != 1
        return TicketStatus(severity, True, False, True, cycle) if is_acceptable else None
    if kind is _CANCELLED:
        return TicketStatus(severity, responded, False, True, cycle)
    return status if kind is _ACKNOWLEDGED or kind is _ESCALATED else None


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
