"""The pure function from a ticket's facts and the policy to its timeline (docs/rules.md#0-facts-and-timelines).

The walk goes forward from instant to instant. At each, a policy version that comes into force applies first, then the
facts in their order, and due events last. So the timeline up to an instant depends only on facts that occurred at or
before it.
"""

from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.ticket_state import FOREVER, TicketState
from sla_timer.domain.timeline import CycleLadder, ExcludedInterval, Timeline
from sla_timer.domain.timeline_events import FALLS_DUE, TimelineEvent


def evaluate(facts: FactLog, policies: PolicyHistory, until: int, *, whole_agenda: bool = False) -> Timeline:
    """The timeline up to `until` (inclusive; at or after the opening). Later facts are ignored.

    The agenda reaches to the next instant at which something is due, with `whole_agenda` to the last. Raises
    ValueError where a calendar does not reach that far (docs/rules.md#2-7).
    """
    walk = _Walk(facts, policies)
    walk.advance(until)
    state = walk.state
    # Read everything before `look_ahead`, which advances the state.
    version, status = policies.versions[walk.version], state.status
    responded_at, closed_at, exhausted_at = state.responded_at, state.closed_times.open_since, state.exhausted_at
    clocks = tuple([clock.evaluated(until, paused=status.paused) for clock in state.clocks if clock.measured])
    ladders = tuple(
        [CycleLadder(cycle, kept=state.ladders.get(cycle - 1) is ladder) for cycle, ladder in state.ladders.items()]
    )
    events, open_ladder = tuple(state.events), state.open_ladder()
    excluded = _excluded_intervals(state)
    return Timeline(
        until=until,
        policy_version=version,
        severity=status.severity,
        responded_at=responded_at,
        closed_at=closed_at,
        exhausted_at=exhausted_at,
        clocks=clocks,
        ladders=ladders,
        events=events,
        open_ladder=open_ladder,
        agenda=walk.look_ahead(whole=whole_agenda),
        excluded=excluded,
    )


class _Walk:
    """A ticket's state, moved forward through time."""

    __slots__ = ("_applied", "_due", "_facts", "_policies", "state", "version")

    def __init__(self, facts: FactLog, policies: PolicyHistory) -> None:
        opening = facts.facts[0]
        self._facts = facts.facts
        self._policies = policies
        self.version = policies.index_at(opening.at)
        self._applied = 1
        self.state = TicketState(facts, policies.rules[self.version])
        self._due = self.state.next_due()

    def advance(self, until: int) -> None:
        """Advance to `until`, inclusive."""
        state, facts, applied = self.state, self._facts, self._applied
        due, change_at = self._due, self._policy_change_at()
        while True:
            fact_at = facts[applied].at if applied < len(facts) else FOREVER
            at = min(due[0], fact_at, change_at)
            if at > until:
                self._applied, self._due = applied, due
                return
            state.now = at
            if at in (change_at, fact_at):
                if at == change_at:
                    self.version += 1
                    state.change_rules(self._policies.rules[self.version])
                    change_at = self._policy_change_at()
                while applied < len(facts) and facts[applied].at == at:
                    state.apply(facts[applied])
                    applied += 1
                due = state.next_due()
            due = state.fire_due(due)

    def look_ahead(self, *, whole: bool) -> tuple[TimelineEvent, ...]:
        """The events that follow if no further fact arrives: all, or up to the next instant with a due event."""
        self._facts = self._facts[: self._applied]
        events = self.state.events
        past = len(events)
        if whole:
            self.advance(FOREVER - 1)
        while not any(event.kind in FALLS_DUE for event in events[past:]):
            at = min(self._due[0], self._policy_change_at())
            if at == FOREVER:
                break
            self.advance(at)
        return tuple(events[past:])

    def _policy_change_at(self) -> int:
        changes = self._policies.changes
        return changes[self.version] if self.version < len(changes) else FOREVER


def _excluded_intervals(state: TicketState) -> tuple[ExcludedInterval, ...]:
    stopped = state.stopped_times
    if not stopped.starts:
        return ()
    ends = stopped.ends if stopped.open_since is None else [*stopped.ends, None]
    closed = set(state.closed_times.starts)
    are_closed = [start in closed for start in stopped.starts]
    return tuple(map(ExcludedInterval._make, zip(stopped.starts, ends, are_closed, strict=True)))
