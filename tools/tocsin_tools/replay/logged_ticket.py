"""Turns the rows of one ticket of a help-desk log into the ticket and its events. Pure.

`Insert ticket` and `Assign seriousness` open a ticket, `Take in charge ticket` is the human response, `Wait` waits for
the customer until the next activity, `Resolve ticket`, `RESOLVED` and `Closed` resolve, `DUPLICATE` and `INVALID`
cancel; every other activity only ends a wait. On a closed ticket, a closing activity changes nothing, and any other
reopens the ticket first. A `seriousness_2` that differs from the row before changes the severity.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from tocsin.instants import render_instant

SOURCE: Final = "helpdesk-log"
ZONE: Final = ZoneInfo("Europe/Rome")
OPENS: Final = frozenset({"Insert ticket", "Assign seriousness"})
RESPONDS: Final = "Take in charge ticket"
WAITS: Final = "Wait"
RESOLVES: Final = frozenset({"Resolve ticket", "RESOLVED", "Closed"})
CANCELS: Final = frozenset({"DUPLICATE", "INVALID"})
CONTINUES: Final = frozenset(
    {"Require upgrade", "Create SW anomaly", "Resolve SW anomaly", "Schedule intervention", "VERIFIED"}
)
ACTIVITIES: Final = OPENS | {RESPONDS, WAITS} | RESOLVES | CANCELS | CONTINUES
SEVERITIES: Final[Mapping[str, int]] = {f"Value {number}": number for number in range(1, 5)}


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark about a line of the file."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of the log; `local` is its local time in Italy."""

    line: int
    case: str
    activity: str
    actor: str
    local: datetime
    customer: str
    product: str
    severity: int
    workgroup: str


@dataclass(frozen=True, slots=True)
class LoggedTicket:
    """A ticket as an item of `POST /v1/tickets/batch`, and the lines of the file it comes from."""

    body: Mapping[str, Any]
    lines: Sequence[int]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Its facts in the form of `simulate`: the opening, then its events."""
        opening = {"type": "opened", "occurred_at": self.body["opened_at"], "severity": self.body["severity"]}
        return [opening, *self.body["events"]]


def read_ticket(rows: Sequence[LogRow]) -> tuple[LoggedTicket, list[Remark]]:
    """The ticket in these rows (at least one, in any order), and remarks on how some rows were understood."""
    remarks: list[Remark] = []
    dated = sorted(_with_instants(rows, remarks), key=lambda pair: (pair[0], pair[1].line))
    opened_at, first = dated[0]
    if first.activity not in OPENS:
        remarks.append(Remark(first.line, f"{first.case} begins with {first.activity!r}, which opens it here"))
    body = {
        "source": SOURCE,
        "external_id": first.case,
        "opened_at": render_instant(opened_at),
        "severity": first.severity,
        "summary": first.product,
        "description": f"Workgroup: {first.workgroup}",
        "affected_services": [first.product],
        "contact": {"name": first.customer, "email": f"{''.join(first.customer.split())}@replay.example"},
        "customer": {"id": first.customer, "name": first.customer},
        "history": True,
        "events": _events(dated),
    }
    return LoggedTicket(body, [row.line for _, row in dated]), remarks


def _events(dated: Sequence[tuple[datetime, LogRow]]) -> list[dict[str, Any]]:
    """What happened to the ticket, row by row."""
    events: list[dict[str, Any]] = []
    severity, closed, waiting = dated[0][1].severity, False, False
    for instant, row in dated:
        common = {"occurred_at": render_instant(instant), "actor": row.actor}
        closes = row.activity in RESOLVES | CANCELS
        if closed and not closes:
            events.append({"type": "reopened", **common, "reason": row.activity})
            closed = False
        if row.severity != severity:
            events.append({"type": "severity_changed", **common, "severity": row.severity})
            severity = row.severity
        if waiting and not closes and row.activity != WAITS:
            events.append({"type": "resumed", **common, "reason": row.activity})
            waiting = False
        if row.activity == RESPONDS:
            events.append({"type": "responded", **common})
        elif row.activity == WAITS and not waiting:
            events.append({"type": "paused", **common, "reason": "waiting_customer"})
            waiting = True
        elif closes and not closed:
            kind = "cancelled" if row.activity in CANCELS else "resolved"
            events.append({"type": kind, **common, "reason": row.activity})
            closed, waiting = True, False
    return events


def _with_instants(rows: Iterable[LogRow], remarks: list[Remark]) -> Iterable[tuple[datetime, LogRow]]:
    """Each row with its instant, in the order of the file.

    A local time in a repeated hour is the first of both, unless the row before is later. A local time in a skipped hour
    is moved forward by the length of the change.
    """
    before: datetime | None = None
    for row in rows:
        first, second = (row.local.replace(tzinfo=ZONE, fold=fold).astimezone(UTC) for fold in (0, 1))
        instant = first
        if first < second:
            instant = second if before is not None and before > first else first
            which = "first" if instant == first else "second"
            remarks.append(Remark(row.line, f"{row.local} occurs twice in {ZONE.key}: read as the {which}"))
        elif first > second:
            moved = first.astimezone(ZONE)
            remarks.append(Remark(row.line, f"{row.local} does not exist in {ZONE.key}: read as {moved}"))
        before = instant
        yield instant, row
