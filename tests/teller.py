"""A timer without bus or database: facts arrive, time passes, and what is told is written down."""

from collections.abc import Iterable
from datetime import datetime

from sla_timer.announcing import Scope, announce
from sla_timer.happening import Happening, Item
from sla_timer.judging import Judged, Stored, judge
from sla_timer.story import Rulebook
from sla_timer.telling import Planned
from tocsin.business_time import instant, micros
from tocsin.events import Contact, Customer, Deadline, Fact, Ticket, ticket_id


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
        self.events: list[Deadline] = []
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

    def pass_time(self, through: datetime) -> None:
        """What the agenda holds up to `through` is told, without looking at any fact."""
        until = micros(through)
        scope = Scope(self.ticket, self.rulebook, 1, None, until)
        while self.agenda and self.agenda[0].happening.at <= until:
            planned = self.agenda.pop(0)
            self._write(planned.item, announce(planned.item, planned.happening, scope))

    def keys(self) -> list[tuple[Item, datetime]]:
        """What was told, in order: under which key, and for which instant."""
        return list(zip(self.told, self.told_at, strict=True))

    def _write(self, item: Item, event: Deadline) -> None:
        assert item not in self.told, f"told twice: {item}"
        self.told.append(item)
        self.told_at.append(event.at)
        self.events.append(event)


def happened(happening: Happening) -> tuple[str, int, str | None, int | None, datetime]:
    return (happening.kind.value, happening.cycle, happening.clock, happening.step, instant(happening.at))
