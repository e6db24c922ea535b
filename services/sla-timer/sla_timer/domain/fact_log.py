"""The facts of one ticket in the form, and in the order, in which a timeline applies them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from tocsin.business_time import micros
from tocsin.events import Fact, FactType
from tocsin.lifecycle import StatusChange, applies_at, in_order


class LoggedFact(NamedTuple):
    """A fact as a timeline reads it, a `Change`. `at`: when it applies, in microseconds since the epoch."""

    at: int
    number: int
    type: FactType
    severity: int = 0
    workaround: bool = False


@dataclass(frozen=True, slots=True)
class FactLog:
    """The facts of one ticket in their order, the opening first and none before it, and the ticket's channel."""

    facts: tuple[LoggedFact, ...]
    channel: str

    @classmethod
    def of(cls, facts: Iterable[Fact], channel: str) -> Self:
        """The log of these facts, given in any order; of facts with the same number it keeps one.

        Raises ValueError if the opening (number 1) is missing (docs/rules.md#0-facts-and-timelines).
        """
        opening, *later = in_order({fact.number: fact for fact in facts}.values())
        if opening.type is not FactType.OPENED:
            raise ValueError("the first fact of a ticket must be its opening, with its severity")
        logged = [
            LoggedFact(micros(applies_at(fact, opening)), fact.number, *StatusChange.of(fact))
            for fact in (opening, *later)
        ]
        return cls(tuple(logged), channel)
