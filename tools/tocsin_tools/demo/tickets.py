"""The stories of the demo's day. Pure: instants are told as time since the day began, 08:00 in New York."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tocsin.instants import render_instant

DAY: Final = timedelta(hours=31, minutes=15)
"""From the first ticket until nothing more falls due."""


@dataclass(frozen=True)
class Event:
    """Something that happens to a ticket, so long after the day began."""

    after: timedelta
    type: str
    says: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """A ticket and what becomes of it. `left_open`: it is still open in the evening, and the demo closes it."""

    title: str
    moral: str
    severity: int
    opened: timedelta
    contact: str
    customer: str
    service: str
    events: Sequence[Event] = ()
    channel: str = "portal"
    left_open: bool = False

    def body(self, external_id: str, day: datetime) -> dict[str, Any]:
        """The ticket as `POST /v1/tickets` takes it."""
        return {
            "source": "demo",
            "external_id": external_id,
            "opened_at": render_instant(day + self.opened),
            "severity": self.severity,
            "summary": self.title,
            "affected_services": [self.service],
            "contact": {"name": self.contact, "email": f"{self.contact.split()[0].lower()}@{self.customer}.example"},
            "customer": {"id": self.customer, "name": self.customer.capitalize()},
            "channel": self.channel,
        }


def event_body(event: Event, day: datetime) -> dict[str, Any]:
    """The event as `POST /v1/tickets/{ticket_id}/events` takes it; the same event counts once, however often posted."""
    at = render_instant(day + event.after)
    return {"type": event.type, "occurred_at": at, "actor": "demo", "event_id": f"{event.type} {at}", **event.more}


def _at(day: int, hour: int, minute: int = 0) -> timedelta:
    """A time of the first day or the second in UTC; the first begins at 12:00."""
    return timedelta(days=day - 1, hours=hour - 12, minutes=minute)


STORIES: Final = (
    Story(
        "Mail is down",
        "nobody answers: all six tiers are told, one an hour",
        severity=1,
        opened=_at(1, 12),
        contact="Ada Byron",
        customer="acme",
        service="Email",
        left_open=True,
    ),
    Story(
        "New laptop wanted",
        "an e-mail, answered after more than 24 hours: nobody climbs, tier 1 is told",
        severity=4,
        opened=_at(1, 12),
        contact="Emil Berg",
        customer="globex",
        service="Hardware",
        channel="email",
        events=(
            Event(_at(2, 14), "responded", "answered at last"),
            Event(_at(2, 15), "resolved", "resolved: the laptop is ordered"),
        ),
    ),
    Story(
        "Printer jams",
        "answered and resolved in time: no mail at all",
        severity=2,
        opened=_at(1, 12, 5),
        contact="Joan Clarke",
        customer="globex",
        service="Printing",
        events=(
            Event(_at(1, 12, 20), "responded", "answered"),
            Event(_at(1, 15, 30), "resolved", "resolved"),
        ),
    ),
    Story(
        "VPN drops",
        "six hours of waiting for the customer move the due by six hours: met",
        severity=1,
        opened=_at(1, 12, 10),
        contact="Mary Allen",
        customer="acme",
        service="VPN",
        events=(
            Event(_at(1, 12, 20), "responded", "answered"),
            Event(_at(1, 14), "paused", "paused, the customer must try something", {"reason": "waiting_customer"}),
            Event(_at(1, 20), "resumed", "the customer is back"),
            Event(_at(2, 16), "resolved", "resolved"),
        ),
    ),
    Story(
        "Payroll export fails",
        "the customer escalates; tier 2 acknowledges and gains half an hour; resolved: all stand down",
        severity=2,
        opened=_at(1, 12, 15),
        contact="Grace Murray",
        customer="initech",
        service="Payroll",
        events=(
            Event(_at(1, 12, 30), "responded", "answered"),
            Event(_at(1, 14), "escalated", "the customer escalates", {"reason": "salaries are due tonight"}),
            Event(_at(1, 16, 30), "acknowledged", "acknowledged: I am on it"),
            Event(_at(1, 19, 30), "resolved", "resolved"),
        ),
    ),
    Story(
        "Web shop is slow",
        "answered at once, not resolved in time: two tiers are told, and stand down",
        severity=1,
        opened=_at(1, 12, 20),
        contact="Evelyn Boyd",
        customer="initech",
        service="Web shop",
        events=(
            Event(_at(1, 12, 30), "responded", "answered"),
            Event(_at(2, 14), "resolved", "resolved, after its due"),
        ),
    ),
)
