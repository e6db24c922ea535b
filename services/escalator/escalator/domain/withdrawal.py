"""Withdraws notifications that have no purpose any more, or stands down the people whom they mailed. Pure."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from tocsin.events import ClockVoided, DeadlineEvent, EndReason, StandDown, Withdraw, derived_id

from escalator.domain.tiers import Decision, TicketEscalation

_FOR_INFORMATION: Final = ("warning", "response_missed", "answer_missed", "escalation_request")
"""The kinds of notifications that have no purpose once the ticket is closed (docs/rules.md#5-24)."""


def close_notifications(
    event: DeadlineEvent,
    escalation: TicketEscalation,
    notifications: Sequence[UUID],
    *,
    run: int | None,
    reason: EndReason,
    stand_down: bool = False,
) -> Decision:
    """Withdraw the notifications, or stand them down, if there are any."""
    if not notifications:
        return Decision(escalation)
    common: dict[str, Any] = {
        "event_id": derived_id(event.ticket_id, "stand_down" if stand_down else "withdraw", source=event.event_id),
        "ticket": event.ticket,
        "cycle": event.cycle,
        "run": run,
        "severity": event.severity,
        "at": event.at,
        "notifications": tuple(notifications),
        "reason": reason,
    }
    clock = event.clock if isinstance(event, ClockVoided) else None
    closing = StandDown(**common, clock=clock) if stand_down else Withdraw(**common)
    return Decision(escalation.with_closed(notifications, stood_down=stand_down), (closing,))


def open_about_clocks(escalation: TicketEscalation, cycle: int) -> list[UUID]:
    """Open notifications for information of a cycle: not sent once the ticket is closed (docs/rules.md#5-24)."""
    return [
        notification.id
        for notification in escalation.notifications
        if notification.open and notification.kind in _FOR_INFORMATION and notification.key.cycle == cycle
    ]
