"""One ticket with its history, and which of its published events late evidence has voided. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar
from uuid import UUID

from tocsin.directory import role_title
from tocsin.events import (
    ClockVoided,
    DeadlineEvent,
    DeliveryEvent,
    EscalationEvent,
    Exhausted,
    Fact,
    LadderEnded,
    LadderEvent,
    LadderStepDue,
    LadderStepVoided,
    Notify,
    StandDown,
    Withdraw,
)

from board.domain.board_ticket import BoardTicket
from board.domain.clock_ledger import TicketLedger

StoryEvent = DeadlineEvent | EscalationEvent
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class TicketStory:
    """A ticket with its facts, its published events in order of arrival, and its mails.

    `ledger` is null while sla-timer does not respond. `names` are those of the directory, by the ids of its people.
    """

    ticket: BoardTicket
    facts: Sequence[Fact]
    events: Sequence[StoryEvent]
    deliveries: Sequence[DeliveryEvent]
    ledger: TicketLedger | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def voided(self) -> frozenset[UUID]:
        """The ids of the events that late evidence has voided, and of the notifications about them."""
        voided: set[UUID] = set()
        for index, event in enumerate(self.events):
            match event:
                case ClockVoided():
                    voided.add(event.voids)
                case LadderStepVoided():
                    voided |= {step.event_id for step in self._steps(event, index) if step.step == event.step}
                case LadderEnded(reason="voided"):
                    voided |= {step.event_id for step in self._steps(event, index)}
                case Withdraw(reason="voided") | StandDown(reason="voided"):
                    voided.update(event.notifications)
                case _:
                    pass
        steps = {(step.cycle, step.run, step.step) for step in self.of_type(LadderStepDue) if step.event_id in voided}
        return frozenset(
            voided | {tell.event_id for tell in self.notifications if (tell.cycle, tell.run, tell.step) in steps}
        )

    @cached_property
    def notifications(self) -> tuple[Notify, ...]:
        """The notifications of roles, in order of arrival."""
        return tuple(self.of_type(Notify))

    @cached_property
    def notification_of_step(self) -> Mapping[tuple[int, int, int], Notify]:
        """The escalation of each step, by cycle, run and step."""
        return {
            (event.cycle, event.run, event.step): event
            for event in self.notifications
            if event.run is not None and event.step is not None
        }

    @cached_property
    def causes(self) -> Mapping[UUID, EscalationEvent]:
        """The events that cause mails, by the id that a delivery names."""
        return {event.event_id: event for event in self.events if isinstance(event, Notify | StandDown | Exhausted)}

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """The titles of the roles that the policy's ladder and the ticket's events name."""
        titles = {tier.role: tier.title for tier in self.ticket.tiers}
        titles |= {tier.role: tier.title for step in self.of_type(LadderStepDue) for tier in step.ladder}
        return titles | {event.role: event.role_title for event in self.notifications}

    def title(self, role: str) -> str:
        """The title of a role. A role that no event names yet is spelled from its id."""
        return self.titles.get(role) or role_title(role)

    def name(self, person: str | None) -> str | None:
        """The name of a person of the directory; any other actor as it is."""
        return None if person is None else self.names.get(person, person)

    def of_type(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of one type, in order of arrival."""
        return [event for event in self.events if isinstance(event, kind)]

    def _steps(self, of: LadderEvent, before: int) -> list[LadderStepDue]:
        return [
            event
            for event in self.events[:before]
            if isinstance(event, LadderStepDue) and (event.cycle, event.run) == (of.cycle, of.run)
        ]
