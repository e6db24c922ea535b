"""The response models of `GET /v1/tickets/by-external/{source}/{external_id}`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self
from uuid import UUID

from pydantic import ConfigDict, Field
from tocsin.directory import Directory
from tocsin.events import ClockName, DeliveryEvent, DeliveryState, EscalationReason
from tocsin.instants import Instant
from tocsin.runtime.http.responses import ResponseModel

from board.api.listed_ticket import TICKET_EXAMPLE, ListedTicketResponse, listed_fields
from board.domain.at_risk import holder_name, title_of
from board.domain.board_ticket import BoardClock, BoardLadder, ClockState, TicketPhase
from board.domain.ticket_links import TicketLinks
from board.handlers.machine_queries import TicketOverview

_DUE_AT: Final = "2026-06-09T12:10:00.000000Z"
_OVERVIEW: Final[dict[str, Any]] = TICKET_EXAMPLE | {
    "as_of": "2026-06-09T13:10:00.000000Z",
    "state": "open",
    "opened_at": "2026-06-08T12:00:00.000000Z",
    "dues": [
        {
            "clock": "response",
            "cycle": 1,
            "provisional": False,
            "target": "1 hour",
            "due_at": "2026-06-08T13:00:00.000000Z",
            "outcome": "met",
            "left_seconds": None,
            "elapsed_left_seconds": None,
        },
        {
            "clock": "resolution",
            "cycle": 1,
            "provisional": False,
            "target": "24 hours",
            "due_at": _DUE_AT,
            "outcome": "breached",
            "left_seconds": 0.0,
            "elapsed_left_seconds": -3600.0,
        },
    ],
    "tier": 1,
    "ladder": {
        "cycle": 1,
        "run": 1,
        "state": "held",
        "steps": [
            {"step": 1, "tier": 1, "role": "service_desk_team_lead", "title": "Service Desk Team Lead"}
            | {"at": _DUE_AT, "reason": "resolution_breached", "voided": False, "names": ["Ruth Adeyemi"]}
        ],
        "next": {
            "at": "2026-06-09T13:40:00.000000Z",
            "tier": 2,
            "role": "senior_it_operations_manager",
            "title": "Senior IT Operations Manager",
            "name": "Tomas Herrera",
        },
        "acknowledgements": [
            {"at": "2026-06-09T12:40:00.000000Z", "by": "ruth.adeyemi", "held_until": "2026-06-09T13:40:00.000000Z"}
        ],
        "exhausted_at": None,
        "ended_at": None,
    },
    "deliveries": {"total": 2, "by_state": {"sent": 2}},
    "links": {
        "url": "https://na.myconnectwise.net/v4_6_release/services/system_io/Service/fv_sr100_request.rails?"
        "service_recid=1042",
        "board_url": "https://sla.example.com/tickets/1f2179db-15df-5301-954e-79cce3c08d79",
    },
}


class TicketDueResponse(ResponseModel):
    """The clock of that name in the last cycle that has one. `due_at` is null while a pause makes it unknown.

    `left_seconds` is the time left as the clock counts, 0 if it is overdue; `elapsed_left_seconds` the time until
    `due_at`, negative if it is overdue. Both are null once the clock has ended.
    """

    clock: ClockName
    cycle: int
    provisional: bool
    target: str
    due_at: Instant | None
    outcome: ClockState
    left_seconds: float | None
    elapsed_left_seconds: float | None

    @classmethod
    def of(cls, clock: BoardClock, overview: TicketOverview) -> Self:
        """The clock as of the overview's instant."""
        left = clock.left(overview.as_of)
        is_due = clock.is_open and clock.due_at is not None
        return cls(
            clock=clock.name,
            cycle=clock.cycle,
            provisional=clock.provisional,
            target=clock.target_words,
            due_at=clock.due_at,
            outcome=clock.state,
            left_seconds=None if left is None else left.total_seconds(),
            elapsed_left_seconds=(clock.due_at - overview.as_of).total_seconds() if is_due and clock.due_at else None,
        )


class OverviewStepResponse(ResponseModel):
    """A step of the ladder. `names` are the people to whom its mail was addressed."""

    step: int
    tier: int
    role: str
    title: str
    at: Instant
    reason: EscalationReason
    voided: bool
    names: tuple[str, ...]


class OverviewNextStepResponse(ResponseModel):
    """The next step if no further fact arrives. `tier` is null if the ladder will be exhausted, `name` if nobody holds
    the role now.
    """

    at: Instant
    tier: int | None
    role: str | None
    title: str | None
    name: str | None


class OverviewAcknowledgementResponse(ResponseModel):
    """An acknowledgement. `held_until` is null while a pause makes it unknown."""

    at: Instant
    by: str | None
    held_until: Instant | None


class OverviewLadderResponse(ResponseModel):
    """The current ladder. `next` is null if the next instant is unknown, or nothing follows."""

    cycle: int
    run: int
    state: str = Field(description="`running`, `held`, `exhausted` or `ended`")
    steps: tuple[OverviewStepResponse, ...]
    next: OverviewNextStepResponse | None
    acknowledgements: tuple[OverviewAcknowledgementResponse, ...]
    exhausted_at: Instant | None
    ended_at: Instant | None

    @classmethod
    def of(cls, ladder: BoardLadder, overview: TicketOverview, directory: Directory | None) -> Self:
        """The ladder of the overview's ticket. Without a directory, the next step has no name."""
        found, names = overview.ticket, _names_by_notification(overview.deliveries)
        upcoming = ladder.next
        role = None if upcoming is None else upcoming.role
        return cls(
            cycle=ladder.cycle,
            run=ladder.run,
            state=ladder.state,
            steps=tuple(
                OverviewStepResponse(
                    step=step.step,
                    tier=step.tier,
                    role=step.role,
                    title=title_of(found, step.role),
                    at=step.at,
                    reason=step.reason,
                    voided=step.voided,
                    names=names.get(step.notification_id, ()),
                )
                for step in ladder.steps
            ),
            next=None
            if upcoming is None
            else OverviewNextStepResponse(
                at=upcoming.at,
                tier=upcoming.tier,
                role=role,
                title=None if role is None else title_of(found, role),
                name=None if role is None else holder_name(found, role, directory, overview.as_of),
            ),
            acknowledgements=tuple(map(OverviewAcknowledgementResponse.model_validate, ladder.acknowledgements)),
            exhausted_at=ladder.exhausted_at,
            ended_at=ladder.ended_at,
        )


def _names_by_notification(deliveries: Iterable[DeliveryEvent]) -> Mapping[UUID | None, tuple[str, ...]]:
    names: dict[UUID | None, tuple[str, ...]] = {}
    for delivery in deliveries:
        name, known = delivery.recipient.name, names.get(delivery.notification_id, ())
        if name is not None and name not in known and delivery.state != "cancelled":
            names[delivery.notification_id] = (*known, name)
    return names


class DeliveryCountsResponse(ResponseModel):
    """How many mails there are about the ticket, in all and by their present state."""

    total: int
    by_state: dict[DeliveryState, int]


class TicketLinksResponse(ResponseModel):
    """The ticket's page in its tool, and in the board; null if the address is not configured."""

    url: str | None
    board_url: str | None


class TicketOverviewResponse(ListedTicketResponse):
    """A ticket: its state, deadlines and escalation. `tier` is the last one notified, null before the first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OVERVIEW]})

    as_of: Instant
    state: TicketPhase
    opened_at: Instant
    dues: tuple[TicketDueResponse, ...]
    tier: int | None
    ladder: OverviewLadderResponse | None
    deliveries: DeliveryCountsResponse
    links: TicketLinksResponse

    @classmethod
    def of(cls, overview: TicketOverview, directory: Directory | None, links: TicketLinks) -> Self:
        """The response for an overview; `directory` names who holds the role of the next step."""
        found = overview.ticket
        ladder = found.ladder
        last = {clock.name: clock for clock in found.clocks}
        return cls(
            **listed_fields(found),
            as_of=overview.as_of,
            state=found.state,
            opened_at=found.ticket.opened_at,
            dues=tuple(TicketDueResponse.of(clock, overview) for clock in last.values()),
            tier=None if ladder is None else ladder.tier,
            ladder=None if ladder is None else OverviewLadderResponse.of(ladder, overview, directory),
            deliveries=DeliveryCountsResponse(
                total=len(overview.deliveries),
                by_state=Counter(delivery.state for delivery in overview.deliveries),
            ),
            links=TicketLinksResponse(url=links.tool_page(found.ticket), board_url=links.board_page(found.ticket)),
        )
