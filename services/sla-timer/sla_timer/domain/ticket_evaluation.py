"""Evaluates a stored ticket: the events to publish now, the agenda, and clock summaries for reports. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Final, NamedTuple, Self
from uuid import UUID

from tocsin.business_time import micros, to_datetime
from tocsin.events import ClockName, DeadlineEvent, Fact, Ticket

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.event_mapping import (
    DueEvent,
    EventContext,
    notice_event,
    published_event,
    rendered_event,
    voiding_event,
)
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.published_ladder import PublishedLadder
from sla_timer.domain.reconcile import Changes, LadderRunKey, reconcile
from sla_timer.domain.request_notices import NoticeKind, notices_of
from sla_timer.domain.ticket_details import DetailHistory, TicketDetails
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import EventKey, EventKind, KeyedEvent

OUTCOMES: Final = frozenset({EventKind.MET, EventKind.BREACHED, EventKind.CANCELLED})


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """A stored ticket: its facts, the keys of its published timeline events with their effective instants, its ladders
    as the last published event of each run states them, and its published notices.

    `historic_through` is the receipt of a ticket that was posted as history, otherwise null.
    """

    ticket: Ticket
    partition: int
    historic_through: datetime | None
    responded_at: datetime | None
    facts: Sequence[Fact]
    published: Mapping[EventKey, datetime]
    ladders: Mapping[LadderRunKey, PublishedLadder | None]
    notices: Collection[NoticeKind]

    @classmethod
    def opened(cls, ticket: Ticket, partition: int, historic_through: datetime | None = None) -> Self:
        """A ticket of which nothing was published yet, still without its facts."""
        return cls(
            ticket, partition, historic_through, responded_at=None, facts=(), published={}, ladders={}, notices=()
        )

    def complete_through(self, accepted_through: datetime | None) -> datetime:
        """The instant up to which no fact is missing: the watermark of the partition, or the receipt of the last fact.

        The facts of a ticket arrive in the order in which they were received, so none before the last is missing.
        """
        received_at = max(fact.received_at for fact in self.facts)
        return received_at if accepted_through is None else max(accepted_through, received_at)

    def is_historic(self, at: datetime | None) -> bool:
        """Whether something that takes effect at this instant is history (docs/rules.md#4-24). None is not."""
        return self.historic_through is not None and at is not None and at <= self.historic_through

    def fact_log(self, policies: PolicyHistory) -> FactLog:
        ticket = self.ticket
        return FactLog.of(
            self.facts, policies, channel=ticket.channel, category=ticket.category, starts_at=ticket.starts_at
        )


class ClockSummary(NamedTuple):
    """What reports and gauges need of a clock. `outcome_at` is null while its cycle has no outcome yet.

    `severity` is the one that governed the outcome; without one, the ticket's. `due_at` is the instant at which the
    clock breaches if no further fact arrives, by the versions of the policy that are in force until then; of a
    provisional clock, its deadline; null where neither is known. `warned`: its warning was given.
    """

    cycle: int
    clock: ClockName
    severity: int
    state: ClockOutcome
    open: bool
    provisional: bool
    warned: bool
    due_at: datetime | None
    outcome_at: datetime | None


class PublishedEvent(NamedTuple):
    """An event to publish, and its natural key. That of a notice is its kind."""

    key: EventKey | NoticeKind
    event: DeadlineEvent


class AgendaItem(NamedTuple):
    """A timeline event that will occur if no further fact arrives, and the ticket's details as of then."""

    keyed: KeyedEvent
    details: TicketDetails


class TicketEvaluation(NamedTuple):
    """The result of evaluating a ticket. `policy_versions` is the number of policy versions it was evaluated with,
    `policies_in_force` how many of them had come into force by then.

    `events` are to be published now, in order; `agenda` are those to publish once they fall due, and `due_next` the
    rendered ones of its first instant.
    """

    ticket_id: UUID
    partition: int
    severity: int
    closed_at: datetime | None
    responded_at: datetime | None
    policy_versions: int
    policies_in_force: int
    clocks: Sequence[ClockSummary]
    events: Sequence[PublishedEvent]
    agenda: Sequence[AgendaItem]
    due_next: Sequence[DueEvent]


def evaluate_ticket(
    record: TicketRecord, accepted_through: datetime | None, policies: PolicyHistory
) -> TicketEvaluation:
    """Evaluate a ticket up to the instant through which its facts are complete; reconcile with its published log."""
    confirmed = micros(record.complete_through(accepted_through))
    # Unconfirmed events stay until facts disprove them: never evaluate to an earlier instant than before.
    until = max([confirmed, *map(micros, record.published.values())])
    log = record.fact_log(policies)
    timeline = evaluate(log, policies, until, whole_agenda=True)
    changes = reconcile(timeline, record.published, record.ladders)
    details = DetailHistory(record.ticket, record.facts, policies)
    context = EventContext(
        ticket=record.ticket,
        policies=policies,
        severity=timeline.severity,
        historic_through=None if record.historic_through is None else micros(record.historic_through),
        confirmed_through=confirmed,
    )
    agenda = [AgendaItem(keyed, details.at(keyed.event.at)) for keyed in changes.agenda]
    return TicketEvaluation(
        ticket_id=record.ticket.ticket_id,
        partition=record.partition,
        severity=timeline.severity,
        closed_at=None if timeline.closed_at is None else to_datetime(timeline.closed_at),
        responded_at=None if timeline.responded_at is None else to_datetime(timeline.responded_at),
        policy_versions=len(policies.versions),
        policies_in_force=policies.count_in_force(until),
        clocks=summarize_clocks(timeline),
        events=[
            *_notices(record, log.facts[0].at, details, context),
            *_timeline_events(record, changes, until, details, context),
        ],
        agenda=agenda,
        due_next=render_next(agenda, context),
    )


def render_next(agenda: Sequence[AgendaItem], context: EventContext) -> list[DueEvent]:
    """Render the events of the first instant of an agenda."""
    first = takewhile(lambda item: item.keyed.event.at == agenda[0].keyed.event.at, agenda)
    return [rendered_event(keyed, details, context) for keyed, details in first]


def _notices(
    record: TicketRecord, opened_at: int, details: DetailHistory, context: EventContext
) -> Iterator[PublishedEvent]:
    for kind in notices_of(record.ticket):
        if kind not in record.notices:
            yield PublishedEvent(kind, notice_event(kind, opened_at, details.at(opened_at), context))


def _timeline_events(
    record: TicketRecord, changes: Changes, now: int, details: DetailHistory, context: EventContext
) -> Iterator[PublishedEvent]:
    for key in changes.voided:
        of_history = record.is_historic(record.published.get(key))
        yield PublishedEvent(key.voiding, voiding_event(key, now, details.at(now), context, of_history=of_history))
    for keyed in changes.new:
        yield PublishedEvent(keyed.key, published_event(keyed, details.at(keyed.event.at), context))


def summarize_clocks(timeline: Timeline) -> list[ClockSummary]:
    """Every clock of the timeline."""
    outcomes = {(event.cycle, event.clock): event for event in timeline.events if event.kind in OUTCOMES}
    warned = {(event.cycle, event.clock) for event in timeline.events if event.kind is EventKind.WARNED}
    breaches = {(event.cycle, event.clock): event.at for event in timeline.agenda if event.kind is EventKind.BREACHED}
    summaries = []
    for clock in timeline.clocks:
        outcome = outcomes.get((clock.cycle, clock.name))
        due_at = breaches.get((clock.cycle, clock.name), clock.due_at)
        summaries.append(
            ClockSummary(
                cycle=clock.cycle,
                clock=clock.name,
                severity=timeline.severity if outcome is None else outcome.severity,
                state=clock.outcome,
                open=clock.ended_at is None,
                provisional=clock.provisional,
                warned=(clock.cycle, clock.name) in warned,
                due_at=None if due_at is None else to_datetime(due_at),
                outcome_at=None if outcome is None else to_datetime(outcome.at),
            )
        )
    return summaries
