"""A timer without bus or database: facts arrive, time passes, and what is told is written down."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sla_timer.domain.evaluate import Judged, Stored, judge
from sla_timer.domain.event_mapping import Scope, announce
from sla_timer.domain.fact_log import Rulebook
from sla_timer.domain.reconcile import Planned
from sla_timer.domain.timeline_events import Item
from tocsin.business_time import micros
from tocsin.events import (
    ClockEvent,
    ClockVoided,
    Contact,
    Customer,
    DeadlineEvent,
    Fact,
    LadderEnded,
    LadderStepDue,
    LadderStepVoided,
    Ticket,
    event_type,
    ticket_id,
)

from support.stories import at


def ticket(channel: str = "portal") -> Ticket:
    return Ticket.model_validate(
        {
            "tenant": "default",
            "ticket_id": ticket_id("default", "tests", "1"),
            "source": "tests",
            "external_id": "1",
            "summary": "Mail is down",
            "affected_services": ["Email"],
            "contact": Contact(name="Ada"),
            "customer": Customer(id="acme", name="Acme"),
            "channel": channel,
            "category": "incident",
            "opened_at": "2026-06-08T12:00:00Z",
            "initial_severity": 1,
        }
    )


class Teller:
    """One ticket: what is stored of it, what was told, and its agenda. `events` is everything told, in order."""

    def __init__(self, rulebook: Rulebook, channel: str = "portal", historic_through: datetime | None = None) -> None:
        self.rulebook = rulebook
        self.ticket = ticket(channel)
        self.historic_through = historic_through
        self.facts: list[Fact] = []
        self.told: list[Item] = []
        self.told_at: list[datetime] = []
        self.events: list[DeadlineEvent] = []
        self.agenda: list[Planned] = []

    def receive(self, facts: Iterable[Fact], accepted_through: datetime | None = None) -> Judged:
        """Facts arrive together; the ticket is judged."""
        self.facts += facts
        stored = Stored(
            self.ticket,
            0,
            self.historic_through,
            None,
            self.facts,
            self.told,
            max(self.told_at, default=None),
        )
        judged = judge(stored, accepted_through, self.rulebook)
        for item, event in judged.telling:
            self._write(item, event)
        self.agenda = judged.agenda
        return judged

    def pass_time(self, through: datetime, confirmed_through: datetime | None = None) -> None:
        """What the agenda holds up to `through` is told, without looking at any fact."""
        until = micros(through)
        historic_through = None if self.historic_through is None else micros(self.historic_through)
        scope = Scope(self.ticket, self.rulebook, 1, historic_through, micros(confirmed_through or through))
        while self.agenda and self.agenda[0].happening.at <= until:
            planned = self.agenda.pop(0)
            self._write(planned.item, announce(planned.item, planned.happening, scope))

    def keys(self) -> list[tuple[Item, datetime]]:
        """What was told, in order: under which key, and for which instant."""
        return list(zip(self.told, self.told_at, strict=True))

    def _write(self, item: Item, event: DeadlineEvent) -> None:
        assert item not in self.told, f"told twice: {item}"
        self.told.append(item)
        self.told_at.append(event.at)
        self.events.append(event)


def moment(text: str) -> datetime:
    """`06-08 12:00` in 2026."""
    return datetime.fromisoformat(at(text))


def said(number: int, kind: str, when: str, received: str | None = None, **more: Any) -> Fact:
    """A numbered fact that occurred `when`, received then or later."""
    return Fact.model_validate(
        {
            "number": number,
            "event_id": str(number),
            "type": kind,
            "occurred_at": at(when),
            "received_at": at(received or when),
        }
        | more
    )


def briefly(events: Iterable[DeadlineEvent]) -> list[tuple[str, str]]:
    """What was told, and for which instant: (`breached resolution`, `06-08 12:00`), (`step_due 2 of run 1`, ...)."""
    return [(_briefly(event), event.at.strftime("%m-%d %H:%M")) for event in events]


def _briefly(event: DeadlineEvent) -> str:
    kind = event_type(event).split(".")[1]
    match event:
        case ClockVoided():
            return f"voided {event.kind} {event.clock}"
        case ClockEvent():
            return f"{kind} {event.clock}"
        case LadderStepDue() | LadderStepVoided():
            return f"{kind} {event.step} of run {event.run}"
        case LadderEnded():
            return f"{kind} run {event.run}: {event.reason}"
        case _:
            return f"{kind} in run {event.run}"
