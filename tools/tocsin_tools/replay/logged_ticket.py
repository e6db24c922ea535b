"""The rows of one ticket of the log, read as the ticket and everything that happened to it. Pure.

`Insert ticket` and `Assign seriousness` open, `Take in charge ticket` is the human response, `Wait` waits for the
customer until the next activity, `Resolve ticket`, `RESOLVED` and `Closed` resolve, `DUPLICATE` and `INVALID` cancel;
the rest only ends a wait. What ends a ticket changes nothing where it has ended; anything else opens it again, and then
counts. Another `seriousness_2` than before changes the severity.
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
GOES_ON: Final = frozenset(
    {"Require upgrade", "Create SW anomaly", "Resolve SW anomaly", "Schedule intervention", "VERIFIED"}
)
KNOWN: Final = OPENS | {RESPONDS, WAITS} | RESOLVES | CANCELS | GOES_ON
SEVERITIES: Final[Mapping[str, int]] = {f"Value {number}": number for number in range(1, 5)}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to say about a line of the file."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the log; `local` is what a clock on the wall in Italy showed."""

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
    """A ticket as an item of `POST /v1/tickets/batch`, and the lines of the file that tell of it."""

    body: Mapping[str, Any]
    lines: Sequence[int]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Its story as a simulation takes it: the opening, then its events."""
        opening = {"type": "opened", "occurred_at": self.body["opened_at"], "severity": self.body["severity"]}
        return [opening, *self.body["events"]]


def ticket_of(rows: Sequence[Row], notes: list[Remark]) -> LoggedTicket:
    """The ticket that these rows tell, at least one, in whatever order; what was decided about them goes to `notes`."""
    dated = sorted(_dated(rows, notes), key=lambda pair: (pair[0], pair[1].line))
    at, first = dated[0]
    if first.activity not in OPENS:
        notes.append(Remark(first.line, f"{first.case} begins with {first.activity!r}: taken as its opening, too"))
    case = _Case(first.severity)
    for instant, row in dated:
        case.happens(row, render_instant(instant))
    body = {
        "source": SOURCE,
        "external_id": first.case,
        "opened_at": render_instant(at),
        "severity": first.severity,
        "summary": first.product,
        "description": f"Workgroup: {first.workgroup}",
        "affected_services": [first.product],
        "contact": {"name": first.customer, "email": f"{''.join(first.customer.split())}@replay.example"},
        "customer": {"id": first.customer, "name": first.customer},
        "history": True,
        "events": case.events,
    }
    return LoggedTicket(body, [row.line for _, row in dated])


class _Case:
    """What a ticket has come to, row by row."""

    def __init__(self, severity: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._severity = severity
        self._ended = False
        self._waiting = False

    def happens(self, row: Row, at: str) -> None:
        ends = row.activity in RESOLVES or row.activity in CANCELS

        def event(kind: str, **more: Any) -> None:
            self.events.append({"type": kind, "occurred_at": at, "actor": row.actor, **more})

        if self._ended and not ends:
            event("reopened", reason=row.activity)
            self._ended = False
        if row.severity != self._severity:
            event("severity_changed", severity=row.severity)
            self._severity = row.severity
        if self._waiting and not ends and row.activity != WAITS:
            event("resumed", reason=row.activity)
            self._waiting = False
        if row.activity == RESPONDS:
            event("responded")
        elif row.activity == WAITS and not self._waiting:
            event("paused", reason="waiting_customer")
            self._waiting = True
        elif ends and not self._ended:
            event("cancelled" if row.activity in CANCELS else "resolved", reason=row.activity)
            self._ended, self._waiting = True, False


def _dated(rows: Iterable[Row], notes: list[Remark]) -> Iterable[tuple[datetime, Row]]:
    """Each row with its instant, in the file's order.

    A local time that came twice (an hour is set back) is the first of both, unless the row before lies after that. One
    that never was (an hour is left out) is as much later as the clocks were set forward.
    """
    before: datetime | None = None
    for row in rows:
        first, second = (row.local.replace(tzinfo=ZONE, fold=fold).astimezone(UTC) for fold in (0, 1))
        instant = first
        if first < second:
            instant = second if before is not None and before > first else first
            which = "first" if instant == first else "second"
            notes.append(Remark(row.line, f"{row.local} came twice in {ZONE.key}: taken as the {which}"))
        elif first > second:
            notes.append(Remark(row.line, f"{row.local} never was in {ZONE.key}: taken as {first.astimezone(ZONE)}"))
        before = instant
        yield instant, row
