"""The tickets of the demo's day. Pure: instants are durations since the day began, 08:00 in New York."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from tocsin.instants import render_instant

DAY: Final = timedelta(hours=31, minutes=15)
"""From the first ticket until nothing more is due."""


@dataclass(frozen=True)
class DemoEvent:
    """An event of a ticket, `after` the day began."""

    after: timedelta
    type: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def body(self, day: datetime) -> dict[str, Any]:
        """The body of `POST /v1/tickets/{ticket_id}/events`; posting it again has no effect."""
        at = render_instant(day + self.after)
        return {"type": self.type, "occurred_at": at, "actor": "demo", "event_id": f"{self.type} {at}", **self.fields}


@dataclass(frozen=True)
class DemoTicket:
    """A ticket and its events. `left_open`: the demo resolves it at the end of the day."""

    title: str
    expectation: str
    severity: int
    opened: timedelta
    contact: str
    customer: str
    service: str
    events: Sequence[DemoEvent] = ()
    channel: str = "portal"
    left_open: bool = False

    def body(self, external_id: str, day: datetime) -> dict[str, Any]:
        """The body of `POST /v1/tickets`."""
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


def _at(day: int, hour: int, minute: int = 0) -> timedelta:
    """A UTC time of the first or second day; the first begins at 12:00."""
    return timedelta(days=day - 1, hours=hour - 12, minutes=minute)


TICKETS: Final = (
    DemoTicket(
        "Mail is down",
        "nobody responds: all six tiers are notified, one per hour",
        severity=1,
        opened=_at(1, 12),
        contact="Ada Byron",
        customer="acme",
        service="Email",
        left_open=True,
    ),
    DemoTicket(
        "New laptop wanted",
        "an e-mail, answered after more than 24 hours: no ladder, tier 1 is informed",
        severity=4,
        opened=_at(1, 12),
        contact="Emil Berg",
        customer="globex",
        service="Hardware",
        channel="email",
        events=(
            DemoEvent(_at(2, 14), "responded", "answered"),
            DemoEvent(_at(2, 15), "resolved", "resolved: the laptop is ordered"),
        ),
    ),
    DemoTicket(
        "Printer jams",
        "answered and resolved in time: no mail",
        severity=2,
        opened=_at(1, 12, 5),
        contact="Joan Clarke",
        customer="globex",
        service="Printing",
        events=(
            DemoEvent(_at(1, 12, 20), "responded", "answered"),
            DemoEvent(_at(1, 15, 30), "resolved", "resolved"),
        ),
    ),
    DemoTicket(
        "VPN drops",
        "six hours of waiting for the customer move the deadline by six hours: met",
        severity=1,
        opened=_at(1, 12, 10),
        contact="Mary Allen",
        customer="acme",
        service="VPN",
        events=(
            DemoEvent(_at(1, 12, 20), "responded", "answered"),
            DemoEvent(_at(1, 14), "paused", "paused: waiting for the customer", {"reason": "waiting_customer"}),
            DemoEvent(_at(1, 20), "resumed", "resumed: the customer replied"),
            DemoEvent(_at(2, 16), "resolved", "resolved"),
        ),
    ),
    DemoTicket(
        "Payroll export fails",
        "the customer escalates; tier 2 acknowledges and gains half an hour; resolved: all stand down",
        severity=2,
        opened=_at(1, 12, 15),
        contact="Grace Murray",
        customer="initech",
        service="Payroll",
        events=(
            DemoEvent(_at(1, 12, 30), "responded", "answered"),
            DemoEvent(_at(1, 14), "escalated", "the customer escalates", {"reason": "salaries are due tonight"}),
            DemoEvent(_at(1, 16, 30), "acknowledged", "acknowledged by tier 2"),
            DemoEvent(_at(1, 19, 30), "resolved", "resolved"),
        ),
    ),
    DemoTicket(
        "Web shop is slow",
        "answered at once, resolved too late: two tiers are notified, and stand down",
        severity=1,
        opened=_at(1, 12, 20),
        contact="Evelyn Boyd",
        customer="initech",
        service="Web shop",
        events=(
            DemoEvent(_at(1, 12, 30), "responded", "answered"),
            DemoEvent(_at(2, 14), "resolved", "resolved, after the deadline"),
        ),
    ),
)
