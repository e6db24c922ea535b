"""Which tier a step goes to, and the state of a ticket's escalation (docs/rules.md#5-19). Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple, Self
from uuid import UUID

from tocsin.events import (
    Acknowledgement,
    ClockName,
    DeadlineEvent,
    EndReason,
    EscalationEvent,
    EscalationReason,
    NotificationKind,
    NotifiedTier,
    Notify,
    Tier,
    UpcomingStep,
)

ExhaustedReason = Literal["ladder", "vacant"]
IsVacant = Callable[[Tier, datetime], bool]
"""Whether nobody holds the tier's role at that instant."""


def next_tier(
    ladder: Sequence[Tier], last_number: int, is_vacant: Callable[[Tier], bool]
) -> tuple[Tier | None, tuple[Tier, ...]]:
    """Return the first tier above number `last_number` that is not vacant, and the vacant tiers skipped below it.

    The tier is None if nobody is left above: the ladder is exhausted. `last_number` is 0 before the first step.
    """
    skipped: list[Tier] = []
    for tier in sorted(ladder, key=lambda tier: tier.number):
        if tier.number <= last_number:
            continue
        if not is_vacant(tier):
            return tier, tuple(skipped)
        skipped.append(tier)
    return None, tuple(skipped)


class RunKey(NamedTuple):
    """Identifies a run of a ticket's ladder: the cycle, and the run within it, both from 1."""

    cycle: int
    run: int


class LadderState(StrEnum):
    """The state of a run. A run that was exhausted and then ended is `ended`."""

    RUNNING = "running"
    HELD = "held"
    ENDED = "ended"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class LadderStep:
    """A step and the tier it went to. `notification` is None for a historic step, which notified nobody."""

    step: int
    tier: Tier
    at: datetime
    reason: EscalationReason
    skipped: tuple[Tier, ...] = ()
    notification: UUID | None = None
    voided: bool = False


@dataclass(frozen=True, slots=True)
class LadderRun:
    """One run of a ticket's ladder, with the steps taken so far.

    `tier` is the number of the last tier notified, 0 for none; a kept ladder starts with that of the previous cycle.
    `tiers` is the policy's ladder as the last step carried it. `next_at` is when the next step is due, None if
    unknown or never. `skipped` are the vacant tiers found when the ladder was exhausted. `severity` is the
    one that governed at the last event, and `due_at` the resolution deadline that the last step carried. `live` is
    false while every event is historic.
    """

    key: RunKey
    kept: bool = False
    tier: int = 0
    tiers: tuple[Tier, ...] = ()
    steps: tuple[LadderStep, ...] = ()
    held: bool = False
    next_at: datetime | None = None
    exhausted: ExhaustedReason | None = None
    exhausted_at: datetime | None = None
    skipped: tuple[Tier, ...] = ()
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    severity: int | None = None
    due_at: datetime | None = None
    acknowledgements: tuple[Acknowledgement, ...] = ()
    live: bool = False

    @property
    def state(self) -> LadderState:
        if self.ended_at is not None:
            return LadderState.ENDED
        if self.exhausted is not None:
            return LadderState.EXHAUSTED
        return LadderState.HELD if self.held else LadderState.RUNNING

    def has_step(self, number: int) -> bool:
        return any(step.step == number for step in self.steps)

    def upcoming(self, is_vacant: IsVacant) -> UpcomingStep | None:
        """The next tier that will not be vacant, and its instant; None if unknown or if nothing follows."""
        if self.next_at is None or not self.tiers or self.state in (LadderState.ENDED, LadderState.EXHAUSTED):
            return None
        at = self.next_at
        tier, _ = next_tier(self.tiers, self.tier, lambda tier: is_vacant(tier, at))
        return UpcomingStep(at=at, tier=tier)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification decided for the deadline event `source`. It is open until it is withdrawn or stood down.

    A withdrawn notification can still be stood down: it may have been mailed before.
    """

    id: UUID
    source: UUID
    key: RunKey
    kind: NotificationKind | Literal["exhausted"]
    clock: ClockName | None = None
    open: bool = True
    stood_down: bool = False

    @classmethod
    def of(cls, notify: Notify, source: DeadlineEvent) -> Self:
        """The notification of a `notify` that was decided for `source`."""
        return cls(notify.event_id, source.event_id, RunKey(source.cycle, source.run), notify.kind, notify.clock)

    def is_about_ladder(self, key: RunKey) -> bool:
        """Whether it belongs to that run: a step, or the exhaustion."""
        return self.kind in ("escalation", "exhausted") and self.key == key


@dataclass(frozen=True, slots=True)
class TicketEscalation:
    """Everything decided about one ticket: its ladder runs, and its notifications in the order of their decisions."""

    runs: Mapping[RunKey, LadderRun] = field(default_factory=dict)
    notifications: tuple[Notification, ...] = ()

    def run(self, key: RunKey, *, kept: bool) -> LadderRun:
        """The run `key`. A new run continues the previous cycle's if the ladder was `kept` (docs/rules.md#4-13)."""
        if key in self.runs:
            return self.runs[key]
        before = self._last_run_before(key.cycle) if kept else None
        if before is None:
            return LadderRun(key, kept)
        return LadderRun(
            key,
            kept,
            before.tier,
            before.tiers,
            exhausted=before.exhausted,
            exhausted_at=before.exhausted_at,
            skipped=before.skipped,
            due_at=before.due_at,
            live=before.live,
        )

    def all_steps(self, run: LadderRun) -> tuple[tuple[RunKey, LadderStep], ...]:
        """Every step of `run` with its run, starting with the earlier cycles from which the ladder was kept."""
        before = self._last_run_before(run.key.cycle) if run.kept else None
        earlier = () if before is None else self.all_steps(before)
        return earlier + tuple((run.key, step) for step in run.steps)

    def notified_tiers(self, run: LadderRun) -> tuple[NotifiedTier, ...]:
        """The tiers notified so far in `run`; historic steps notified nobody."""
        return tuple(
            NotifiedTier(tier=step.tier, at=step.at) for _, step in self.all_steps(run) if step.notification is not None
        )

    def with_run(self, run: LadderRun) -> Self:
        return replace(self, runs={**self.runs, run.key: run})

    def with_notification(self, notification: Notification) -> Self:
        return replace(self, notifications=(*self.notifications, notification))

    def with_closed(self, ids: Collection[UUID], *, stood_down: bool) -> Self:
        """A copy in which the notifications `ids` are withdrawn or, with `stood_down`, stood down."""
        notifications = tuple(
            replace(notification, open=False, stood_down=stood_down) if notification.id in ids else notification
            for notification in self.notifications
        )
        return replace(self, notifications=notifications)

    def _last_run_before(self, cycle: int) -> LadderRun | None:
        earlier = [key for key in self.runs if key.cycle < cycle]
        return self.runs[max(earlier)] if earlier else None


class Decision(NamedTuple):
    """The ticket's escalation after an event, and the events to publish, in order."""

    escalation: TicketEscalation
    events: tuple[EscalationEvent, ...] = ()
