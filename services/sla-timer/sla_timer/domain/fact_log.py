"""The facts of one ticket in the form, and in the order, in which a timeline applies them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from tocsin.business_time import micros
from tocsin.events import Fact, FactType
from tocsin.lifecycle import StatusChange


class LoggedFact(NamedTuple):
    """A fact as a timeline reads it, a `Change`; it sorts by (`at`, number), as facts apply (docs/rules.md#0-4).

    `at`: when it occurred, in microseconds since the epoch.
    """

    at: int
    number: int
    type: FactType
    severity: int = 0
    workaround: bool = False


@dataclass(frozen=True, slots=True)
class FactLog:
    """The facts of one ticket in their order, the opening first and none before it, and the ticket's channel.

    Made by `of` or `in_order`, which take facts in any order; of facts with the same number they keep one
    (docs/rules.md#0-facts-and-timelines). Both raise ValueError if the opening (number 1) is missing.
    """

    facts: tuple[LoggedFact, ...]
    channel: str

    @classmethod
    def of(cls, facts: Iterable[Fact], channel: str) -> Self:
        """The log of facts as they are published."""
        logged = (LoggedFact(micros(fact.occurred_at), fact.number, *StatusChange.of(fact)) for fact in facts)
        return cls.in_order(logged, channel)

    @classmethod
    def in_order(cls, facts: Iterable[LoggedFact], channel: str) -> Self:
        """The log of these facts. One that occurred before the opening applies at the opening (docs/rules.md#0-3)."""
        by_number = {fact.number: fact for fact in facts}
        opening = by_number.get(1)
        if opening is None or opening.type is not FactType.OPENED:
            raise ValueError("the first fact of a ticket must be its opening, with its severity")
        effective = [fact if fact.at >= opening.at else fact._replace(at=opening.at) for fact in by_number.values()]
        return cls(tuple(sorted(effective)), channel)
