"""From a stored ticket to what is told of it now, and what follows for reports and for the agenda. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.business_time import instant, micros
from tocsin.events import DeadlineEvent, Fact, Ticket

from sla_timer.domain.event_mapping import Scope
from sla_timer.domain.fact_log import Rulebook, Story
from sla_timer.domain.reconcile import Planned, compare
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import Item, Kind

OUTCOMES = (Kind.MET, Kind.BREACHED, Kind.CANCELLED)


@dataclass(frozen=True, slots=True)
class Stored:
    """A ticket as it is stored: its facts, what was told of it and up to which instant, and when it was answered."""

    ticket: Ticket
    partition: int
    historic_through: datetime | None
    responded_at: datetime | None
    facts: Sequence[Fact]
    told: Sequence[Item]
    told_through: datetime | None

    def known_through(self, accepted_through: datetime | None) -> datetime:
        """The instant up to which its story is complete: the partition's, or the receipt of its own last fact.

        A ticket's facts arrive in the order in which they were received, so none before its last one is missing.
        """
        received = max(fact.received_at for fact in self.facts)
        return received if accepted_through is None else max(accepted_through, received)

    def story(self) -> Story:
        return Story.of(self.facts, self.ticket.channel)


@dataclass(frozen=True, slots=True)
class ClockState:
    """What reports and gauges need of one clock. `outcome_at` is null while this cycle has no outcome of its own."""

    cycle: int
    clock: str
    severity: int
    state: str
    open: bool
    outcome_at: datetime | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What judging a ticket leaves behind. `policies`: how many versions of the policy were known."""

    ticket_id: UUID
    partition: int
    severity: int
    closed_at: datetime | None
    responded_at: datetime | None
    policies: int
    clocks: list[ClockState]
    telling: list[tuple[Item, DeadlineEvent]]
    agenda: list[Planned]


def judge(stored: Stored, accepted_through: datetime | None, rulebook: Rulebook) -> Judged:
    """Tells the ticket's story up to what is known, and compares it with what was told."""
    confirmed = micros(stored.known_through(accepted_through))
    # What was told without proof stays told until facts disprove it: never judge an earlier instant than before.
    through = confirmed if stored.told_through is None else max(confirmed, micros(stored.told_through))
    timeline = Timeline(stored.story(), rulebook).tell(through)
    clocks = clock_states(timeline)
    closed_at, severity = timeline.closed_at, timeline.severity
    scope = Scope(
        stored.ticket,
        rulebook,
        severity,
        None if stored.historic_through is None else micros(stored.historic_through),
        confirmed,
    )
    telling = compare(timeline, stored.told, scope)
    return Judged(
        stored.ticket.ticket_id,
        stored.partition,
        severity,
        None if closed_at is None else instant(closed_at),
        None if timeline.responded_at is None else instant(timeline.responded_at),
        len(rulebook.rules),
        clocks,
        telling.now,
        telling.agenda,
    )


def clock_states(timeline: Timeline) -> list[ClockState]:
    """Every clock of the timeline as it stands; its severity is the one that governed its outcome."""
    outcomes = {(h.cycle, h.clock): h for h in timeline.happenings if h.kind in OUTCOMES}
    states = []
    for clock in timeline.clocks:
        outcome = outcomes.get((clock.cycle, clock.name))
        states.append(
            ClockState(
                clock.cycle,
                clock.name,
                timeline.severity if outcome is None else outcome.severity,
                timeline.outcome(clock),
                clock.ended_at is None,
                None if outcome is None else instant(outcome.at),
            )
        )
    return states
