"""sla-timer without Kafka and database: facts arrive, time passes, and what is published is kept in a list."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sla_timer.domain.event_mapping import EventContext, published_event
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.published_ladder import PublishedLadder
from sla_timer.domain.reconcile import LadderRunKey
from sla_timer.domain.request_notices import NoticeKind
from sla_timer.domain.ticket_evaluation import (
    AgendaItem,
    PublishedEvent,
    TicketEvaluation,
    TicketRecord,
    evaluate_ticket,
)
from sla_timer.domain.timeline_events import EventKey
from tocsin.business_time import micros
from tocsin.events import (
    ClockEvent,
    ClockVoided,
    Contact,
    Customer,
    DeadlineEvent,
    Fact,
    LadderEnded,
    LadderEvent,
    LadderStepDue,
    LadderStepVoided,
    Ticket,
    event_type,
    ticket_id,
)

from support.stories import at, shipped_policy


def shipped_history() -> PolicyHistory:
    """The history of the shipped policy alone, for a customer without terms of their own."""
    return PolicyHistory.of([shipped_policy()], None)


def ticket(channel: str = "portal", **fields: Any) -> Ticket:
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
        | fields
    )


class FakeTimer:
    """One ticket: its facts, what was published of it, and its agenda. Without a policy, by the shipped one.

    `events` is everything published, in order; `keys` are those of timeline events with
    their instants, `notices` the kinds of the others.
    """

    def __init__(
        self,
        policies: PolicyHistory | None = None,
        *,
        channel: str = "portal",
        historic_through: datetime | None = None,
        **fields: Any,
    ) -> None:
        self.policies = policies or shipped_history()
        self.ticket = ticket(channel, **fields)
        self.historic_through = historic_through
        self.facts: list[Fact] = []
        self.keys: dict[EventKey, datetime] = {}
        self.notices: list[NoticeKind] = []
        self.events: list[DeadlineEvent] = []
        self.agenda: list[AgendaItem] = []

    def receive(self, facts: Iterable[Fact], accepted_through: datetime | None = None) -> TicketEvaluation:
        """Facts arrive together; the ticket is evaluated."""
        self.facts += facts
        record = TicketRecord(
            ticket=self.ticket,
            partition=0,
            historic_through=self.historic_through,
            responded_at=None,
            facts=self.facts,
            published=self.keys,
            ladders=self._ladders(),
            notices=self.notices,
        )
        evaluation = evaluate_ticket(record, accepted_through, self.policies)
        for published in evaluation.events:
            self._publish(published)
        self.agenda = list(evaluation.agenda)
        return evaluation

    def pass_time(self, through: datetime, confirmed_through: datetime | None = None) -> None:
        """Publish what is on the agenda up to `through`, without looking at any fact."""
        until = micros(through)
        context = EventContext(
            ticket=self.ticket,
            policies=self.policies,
            severity=1,
            historic_through=None if self.historic_through is None else micros(self.historic_through),
            confirmed_through=micros(confirmed_through or through),
        )
        while self.agenda and self.agenda[0].keyed.event.at <= until:
            keyed, details = self.agenda.pop(0)
            self._publish(PublishedEvent(keyed.key, published_event(keyed, details, context)))

    def _ladders(self) -> dict[LadderRunKey, PublishedLadder | None]:
        events = [event for event in self.events if isinstance(event, LadderEvent)]
        return {(event.cycle, event.run): PublishedLadder.published_by(event) for event in events}

    def _publish(self, published: PublishedEvent) -> None:
        assert published.key not in (*self.keys, *self.notices), f"published twice: {published.key}"
        if isinstance(published.key, NoticeKind):
            self.notices.append(published.key)
        else:
            self.keys[published.key] = published.event.at
        self.events.append(published.event)


def moment(text: str) -> datetime:
    """`06-08 12:00` in 2026."""
    return datetime.fromisoformat(at(text))


def numbered_fact(number: int, kind: str, when: str, received: str | None = None, **fields: Any) -> Fact:
    """A fact that occurred `when`, received then or later; instants as `moment` reads them."""
    return Fact.model_validate(
        {
            "number": number,
            "event_id": str(number),
            "type": kind,
            "occurred_at": at(when),
            "received_at": at(received or when),
        }
        | fields
    )


def summaries(events: Iterable[DeadlineEvent]) -> list[tuple[str, str]]:
    """Each event and its instant: (`breached resolution`, `06-08 12:00`), (`step_due 2 of run 1`, ...)."""
    return [(_summary(event), event.at.strftime("%m-%d %H:%M")) for event in events]


def _summary(event: DeadlineEvent) -> str:
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
