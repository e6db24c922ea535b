"""Made tickets of the board, and a source that has them in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from board.domain.board_ticket import (
    BoardClock,
    BoardLadder,
    BoardStep,
    BoardTicket,
    ClockState,
    LastMail,
    Stretch,
    TicketPhase,
    UpcomingTier,
)
from tocsin.events import Acknowledgement, ClockName, Contact, Customer, Ticket
from tocsin.events import ticket_id as id_of

NOW: Final = datetime(2026, 6, 8, 14, 0, tzinfo=UTC)
"""A Monday."""
ACME: Final = Customer(id="acme", name="Acme GmbH")
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


def board_clock(
    name: ClockName = "resolution",
    *,
    left: timedelta = 6 * HOUR,
    target: timedelta = 8 * HOUR,
    state: ClockState = ClockState.RUNNING,
    now: datetime = NOW,
    **fields: Any,
) -> BoardClock:
    """A clock with the time `left` at `now`; negative if it is overdue. It counts around the clock."""
    running = state is ClockState.RUNNING and left > timedelta(0)
    overdue = left < timedelta(0)
    due_at = None if state is ClockState.PAUSED else now + left
    values: dict[str, Any] = {
        "cycle": 1,
        "name": name,
        "state": ClockState.BREACHED if overdue else state,
        "provisional": False,
        "historic": False,
        "voided": False,
        "started_at": now + left - target,
        "warn_at": None,
        "due_at": due_at,
        "ended_at": None,
        "breached_at": due_at if overdue else None,
        "target_words": f"{target // HOUR} business hours",
        "target": target,
        "counted": target - max(left, timedelta(0)),
        "evaluated_to": now,
        "remaining": (Stretch(now, now + left),) if running else (),
    }
    return BoardClock(**{**values, **fields})


def board_ladder(*, tier: int = 1, at: datetime = NOW - HOUR, upcoming: datetime | None = NOW + HOUR) -> BoardLadder:
    """A ladder whose tiers up to `tier` have been notified, the last one at `at`."""
    roles = ("service_desk_team_lead", "senior_it_operations_manager", "it_operations_director", "account_manager")
    steps = tuple(
        BoardStep(number, number, roles[number - 1], at - (tier - number) * HOUR, "resolution_breached", False, uuid4())
        for number in range(1, tier + 1)
    )
    following = UpcomingTier(upcoming, tier + 1, roles[tier]) if upcoming else None
    return BoardLadder(1, 1, "running", steps, following, (), None, None)


def board_ticket(
    external_id: str = "SR-1",
    *,
    clocks: Iterable[BoardClock] | None = None,
    tenant: str = "default",
    customer: Customer = ACME,
    summary: str = "Printer on floor 3 prints blank pages",
    source: str = "servicedesk",
    version: int = 1,
    **fields: Any,
) -> BoardTicket:
    """An open ticket of severity 3 whose resolution is due in six hours."""
    ticket = Ticket(
        tenant=tenant,
        ticket_id=id_of(tenant, source, external_id),
        source=source,
        external_id=external_id,
        summary=summary,
        affected_services=("printing",),
        contact=Contact(name="Grace", email="grace@example.com"),
        customer=customer,
        channel="portal",
        category="incident",
        opened_at=NOW - 2 * HOUR,
        initial_severity=3,
    )
    values: dict[str, Any] = {
        "severity": 3,
        "state": TicketPhase.OPEN,
        "assignee": "Ada Byron",
        "facts": 1,
        "historic": False,
        "ladder": None,
        "last_mail": None,
    }
    made = tuple(clocks) if clocks is not None else (board_clock(),)
    return BoardTicket(ticket=ticket, clocks=made, version=version, **{**values, **fields})


@dataclass
class MemoryTickets:
    """Tickets in memory in place of the database. `put` gives a ticket the next version."""

    tickets: dict[UUID, BoardTicket] = field(default_factory=dict)
    last: int = 0
    emptied: int = 0

    def put(self, ticket: BoardTicket) -> BoardTicket:
        self.last += 1
        made = replace(ticket, version=self.last)
        self.tickets[made.ticket_id] = made
        return made

    def find(self, external_id: str) -> BoardTicket | None:
        return next((each for each in self.tickets.values() if each.ticket.external_id == external_id), None)

    def empty(self) -> None:
        """As `rebuild` does."""
        self.tickets.clear()
        self.last += 1
        self.emptied = self.last

    async def rebuild_version(self) -> int:
        return self.emptied

    async def version(self) -> int:
        return self.last

    async def open_tickets(self, tenant: str) -> Sequence[BoardTicket]:
        return [each for each in self.tickets.values() if each.is_open and each.ticket.tenant == tenant]

    async def changed(self, after: int) -> Sequence[BoardTicket]:
        """Three at a time, so that a reader that does not read again misses some."""
        changed = (each for each in self.tickets.values() if each.version > after)
        return sorted(changed, key=lambda each: each.version)[:3]


_CUSTOMERS: Final = (
    ACME,
    Customer(id="northwind", name="Northwind Traders"),
    Customer(id="contoso", name="Contoso Logistics"),
    Customer(id="hofmann", name="Hofmann & Söhne Maschinenbau"),
)
_SUMMARIES: Final = (
    "VPN drops every few minutes for the whole Hamburg office",
    "Mailbox of the finance team does not sync on any phone",
    "Order system responds with error 500 after login",
    "Printer on floor 3 prints blank pages",
    "New laptop for Maria Kowalska, starts Monday",
    "Shared drive is read-only since this morning; month-end closing is blocked for twelve people",
    "Password reset",
    "Backup of the file server failed twice",
)
_PEOPLE: Final = ("Ada Byron", "Linus Berg", None, "Grace Hopper", "Noor Haddad")


def made_board(count: int, now: datetime = NOW) -> list[BoardTicket]:
    """A plausible board with so many tickets: some breached, silent, at risk and paused, most of them later."""
    return [_made(number, count, now) for number in range(count)]


def _made(number: int, count: int, now: datetime) -> BoardTicket:
    severity = (1, 2, 2, 3, 3, 3, 4, 3)[number % 8]
    kind = number * 40 // count if count > 40 else number
    fields: dict[str, Any] = {"severity": severity, "assignee": _PEOPLE[number % 5]}
    clocks = [
        board_clock("response", left=(20 + 17 * (number % 9)) * MINUTE, target=4 * HOUR, now=now),
        board_clock("resolution", left=(5 + number % 37) * HOUR + 13 * MINUTE, target=45 * HOUR, now=now),
    ]
    if kind < 3:
        clocks = [board_clock("resolution", left=-(35 + 130 * number) * MINUTE, target=4 * HOUR, now=now)]
        fields["ladder"] = board_ladder(tier=1 + number % 3, at=now - 50 * MINUTE, upcoming=now + 70 * MINUTE)
        fields["last_mail"] = LastMail("Maya Lindqvist", "service_desk_team_lead", now - 49 * MINUTE)
        if number % 3 == 1:
            taken = Acknowledgement(at=now - 20 * MINUTE, by="Paul Okafor", held_until=now + 70 * MINUTE)
            fields["ladder"] = replace(fields["ladder"], state="held", acknowledgements=(taken,))
    elif kind < 5:
        late = -(12 + number % 50) * MINUTE
        clocks = [
            board_clock("response", left=late - HOUR, target=HOUR, now=now),
            board_clock("resolution", left=late, target=4 * HOUR, now=now, provisional=True),
        ]
        fields["ladder"] = board_ladder(tier=1, at=now - 5 * MINUTE, upcoming=now + 2 * HOUR)
        fields["last_mail"] = LastMail("Maya Lindqvist", "service_desk_team_lead", now - 4 * MINUTE)
    elif kind < 10:
        left = (15 + 29 * (number % 8)) * MINUTE
        clocks = [board_clock("resolution", left=left, target=8 * HOUR, now=now, warn_at=now + left - 10 * MINUTE)]
    elif kind < 13:
        clocks = [board_clock("resolution", left=9 * HOUR, target=45 * HOUR, state=ClockState.PAUSED, now=now)]
        fields["state"] = TicketPhase.PAUSED
    elif number % 3:
        clocks = clocks[1:]
    return board_ticket(
        f"SR-{1042 + number}",
        clocks=clocks,
        customer=_CUSTOMERS[number % 4],
        summary=_SUMMARIES[number % 8],
        version=number + 1,
        **fields,
    )
