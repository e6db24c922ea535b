"""What metrics and log lines say of a published event. Pure."""

from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

from tocsin.events import ClockVoided, DeadlineEvent, event_type

from sla_timer.domain.timeline_events import FALLS_DUE


class EventSummary(NamedTuple):
    """A published event in short. The last four are null where the event has no such field; `voids` is the kind of the
    event that it voids."""

    type: str
    ticket_id: UUID
    cycle: int
    run: int
    at: datetime
    severity: int
    historic: bool
    clock: str | None = None
    step: int | None = None
    reason: str | None = None
    voids: str | None = None

    @classmethod
    def of(cls, event: DeadlineEvent) -> Self:
        """The summary of an event."""
        return cls(
            type=event_type(event),
            ticket_id=event.ticket_id,
            cycle=event.cycle,
            run=event.run,
            at=event.at,
            severity=event.severity,
            historic=event.historic,
            clock=getattr(event, "clock", None),
            step=getattr(event, "step", None),
            reason=getattr(event, "reason", None),
            voids=event.kind if isinstance(event, ClockVoided) else None,
        )

    @property
    def is_timed(self) -> bool:
        """Whether the lateness of this event is measured: it falls due, and is not history."""
        return self.type in FALLS_DUE and not self.historic
