"""The facts of one ticket in the form, and in the order, in which a timeline applies them. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

from tocsin.business_time import LAST_YEAR, micros
from tocsin.events import Category, Fact, FactType
from tocsin.lifecycle import StatusChange, applies_at, in_order, is_automatic_response

from sla_timer.domain.policy_history import PolicyHistory

_LAST_START: Final = datetime(LAST_YEAR - 10, 1, 1, tzinfo=UTC)
"""A later start of the work is not used: calendars would end before the ladder that follows it."""


class LoggedFact(NamedTuple):
    """A fact as a timeline reads it, a `Change`. `at`: when it applies, in microseconds since the epoch."""

    at: int
    number: int
    type: FactType
    severity: int = 0
    workaround: bool = False
    actor: str | None = None
    reason: str | None = None


class FactLog(NamedTuple):
    """The facts of one ticket in their order, the opening first and none before it.

    `channel`, `category` and `starts_at`, the instant at which the work is to start, are those of the ticket.
    """

    facts: tuple[LoggedFact, ...]
    channel: str
    category: Category
    starts_at: int | None

    @classmethod
    def of(
        cls,
        facts: Iterable[Fact],
        policies: PolicyHistory,
        *,
        channel: str,
        category: Category = "incident",
        starts_at: datetime | None = None,
    ) -> Self:
        """The log of these facts, given in any order; of facts with the same number it keeps one.

        Responses that are automatic by the policy in force at their instant are left out (docs/rules.md#3-6). Raises
        ValueError if the opening (number 1) is missing (docs/rules.md#0-facts-and-timelines).
        """
        opening, *later = in_order({fact.number: fact for fact in facts}.values())
        if opening.type is not FactType.OPENED:
            raise ValueError("the first fact of a ticket must be its opening, with its severity")
        logged = []
        for fact in (opening, *later):
            at = micros(applies_at(fact, opening))
            if not is_automatic_response(fact, policies.rules_at(at).automatic_actors):
                logged.append(LoggedFact(at, fact.number, *StatusChange.of(fact), fact.actor, fact.reason))
        if starts_at is not None and starts_at >= _LAST_START:
            starts_at = None
        return cls(tuple(logged), channel, category, None if starts_at is None else micros(starts_at))
