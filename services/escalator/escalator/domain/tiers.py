"""Which tier a step goes to, and what is remembered of a ticket's ladders. Pure (RULES 5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from tocsin.events import ClockName, EndReason, EscalationReason, NotificationKind, NotifiedTier, Tier, UpcomingStep

LadderKey = tuple[int, int]
LadderState = Literal["running", "held", "ended", "exhausted"]
ExhaustedReason = Literal["ladder", "vacant"]
Vacant = Callable[[Tier, datetime], bool]


def next_tier(
    ladder: Sequence[Tier], last_told: int, vacant: Callable[[Tier], bool]
) -> tuple[Tier | None, tuple[Tier, ...]]:
    """(the first tier above number `last_told` that is not vacant, the vacant ones passed over on the way).

    None with nobody left above: the ladder is exhausted (RULES 5). `last_told` 0: nobody was told yet.
    """
    skipped: list[Tier] = []
    for tier in sorted(ladder, key=lambda tier: tier.number):
        if tier.number <= last_told:
            continue
        if not vacant(tier):
            return tier, tuple(skipped)
        skipped.append(tier)
    return None, tuple(skipped)


@dataclass(frozen=True, slots=True)
class Told:
    """A step that found its tier. `notification` null: it was historic, so nobody was addressed."""

    step: int
    tier: Tier
    at: datetime
    reason: EscalationReason
    skipped: tuple[Tier, ...] = ()
    notification: UUID | None = None
    voided: bool = False


@dataclass(frozen=True, slots=True)
class Ladder:
    """The ladder of one (cycle, run), as far as it has been told.

    `tier` is the number last told, 0 for none; a kept ladder begins with that of the cycle before. `tiers` is the
    policy's ladder as the last step carried it. `next_at`: when the next step follows; null where unknown or never.
    `skipped` are the vacant tiers that were found when nobody was left above.
    """

    cycle: int
    run: int
    kept: bool = False
    tier: int = 0
    tiers: tuple[Tier, ...] = ()
    told: tuple[Told, ...] = ()
    held: bool = False
    next_at: datetime | None = None
    exhausted: ExhaustedReason | None = None
    skipped: tuple[Tier, ...] = ()
    ended_at: datetime | None = None
    end_reason: EndReason | None = None

    @property
    def key(self) -> LadderKey:
        return self.cycle, self.run

    @property
    def state(self) -> LadderState:
        if self.ended_at is not None:
            return "ended"
        if self.exhausted is not None:
            return "exhausted"
        return "held" if self.held else "running"

    def has_told(self, step: int) -> bool:
        return any(told.step == step for told in self.told)

    def upcoming(self, vacant: Vacant) -> UpcomingStep | None:
        """Who is told next and when, by the vacancies of that instant; None where nobody knows or nothing follows."""
        if self.next_at is None or not self.tiers or self.state in ("ended", "exhausted"):
            return None
        at = self.next_at
        tier, _ = next_tier(self.tiers, self.tier, lambda tier: vacant(tier, at))
        return UpcomingStep(at=at, tier=tier)


@dataclass(frozen=True, slots=True)
class Notification:
    """A `notify` that was decided for the event `source`. Open until it was withdrawn or stood down.

    One that was withdrawn may have been mailed before, so it can still be stood down.
    """

    id: UUID
    source: UUID
    cycle: int
    run: int
    kind: NotificationKind
    clock: ClockName | None = None
    open: bool = True
    stood_down: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that was decided about one ticket."""

    ladders: dict[LadderKey, Ladder] = field(default_factory=dict)
    notifications: tuple[Notification, ...] = ()

    def ladder(self, cycle: int, run: int, kept: bool) -> Ladder:
        """The ladder of (cycle, run), a new one where it is not known: from the cycle before where that was `kept`."""
        known = self.ladders.get((cycle, run))
        if known is not None:
            return known
        before = self._before(cycle) if kept else None
        if before is None:
            return Ladder(cycle, run, kept)
        return Ladder(cycle, run, kept, before.tier, before.tiers, exhausted=before.exhausted, skipped=before.skipped)

    def told(self, ladder: Ladder) -> tuple[tuple[Ladder, Told], ...]:
        """Every step of `ladder`, those of the cycles it was kept from first, each with the ladder it belongs to."""
        before = self._before(ladder.cycle) if ladder.kept else None
        earlier = () if before is None else self.told(before)
        return earlier + tuple((ladder, told) for told in ladder.told)

    def told_before(self, ladder: Ladder) -> tuple[NotifiedTier, ...]:
        """The tiers that were addressed earlier in `ladder`; nobody heard of a historic step."""
        return tuple(
            NotifiedTier(tier=told.tier, at=told.at) for _, told in self.told(ladder) if told.notification is not None
        )

    def put(self, ladder: Ladder) -> "Case":
        return replace(self, ladders={**self.ladders, ladder.key: ladder})

    def _before(self, cycle: int) -> Ladder | None:
        earlier = [key for key in self.ladders if key[0] < cycle]
        return self.ladders[max(earlier)] if earlier else None
