"""The response models of `GET /v1/at-risk`."""

from typing import Any, Final, Self

from pydantic import ConfigDict
from tocsin.directory import Directory
from tocsin.events import ClockName
from tocsin.instants import Instant
from tocsin.runtime.http.responses import ResponseModel

from board.api.listed_ticket import TICKET_EXAMPLE, ListedTicketResponse, listed_fields
from board.domain.at_risk import AtRiskState, ComingDeadline, breach_recipients
from board.handlers.machine_queries import AtRiskPage

_AT_RISK: Final[dict[str, Any]] = {
    "as_of": "2026-06-09T10:10:00.000000Z",
    "within_seconds": 14400.0,
    "items": [
        TICKET_EXAMPLE
        | {
            "clock": "resolution",
            "cycle": 1,
            "provisional": False,
            "state": "warned",
            "target": "24 hours",
            "due_at": "2026-06-09T12:10:00.000000Z",
            "left_seconds": 7200.0,
            "elapsed_left_seconds": 7200.0,
            "would_notify": [
                {"tier": 1, "role": "service_desk_team_lead", "title": "Service Desk Team Lead", "name": "Ruth Adeyemi"}
            ],
        }
    ],
    "next_cursor": None,
}


class BreachRecipientResponse(ResponseModel):
    """Who would be notified. `tier` is null outside the ladder, `name` if nobody holds the role now."""

    tier: int | None
    role: str
    title: str
    name: str | None


class AtRiskItemResponse(ListedTicketResponse):
    """A deadline that has not passed. `left_seconds` is the time left as the clock counts: in elapsed or business time,
    without closing hours. `elapsed_left_seconds` is the time until `due_at`.

    `state` is `warned` from the clock's warning on. `provisional`: the resolution clock before the first response.
    `would_notify`: by the directory now, who would be notified if the deadline passed; while a ladder is running, its
    next tier.
    """

    clock: ClockName
    cycle: int
    provisional: bool
    state: AtRiskState
    target: str
    due_at: Instant
    left_seconds: float
    elapsed_left_seconds: float
    would_notify: tuple[BreachRecipientResponse, ...]

    @classmethod
    def of(cls, deadline: ComingDeadline, page: AtRiskPage, directory: Directory | None) -> Self:
        """The item of a page. Without a directory, `would_notify` has no names."""
        clock = deadline.clock
        recipients = breach_recipients(deadline.ticket, clock, directory, page.as_of)
        return cls(
            **listed_fields(deadline.ticket),
            clock=clock.name,
            cycle=clock.cycle,
            provisional=clock.provisional,
            state=deadline.state,
            target=clock.target_words,
            due_at=deadline.due_at,
            left_seconds=deadline.left.total_seconds(),
            elapsed_left_seconds=deadline.elapsed_left.total_seconds(),
            would_notify=tuple(map(BreachRecipientResponse.model_validate, recipients)),
        )


class AtRiskResponse(ResponseModel):
    """Deadlines by time left as of an instant, the most urgent first. `next_cursor` is null on the last page."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AT_RISK]})

    as_of: Instant
    within_seconds: float
    items: tuple[AtRiskItemResponse, ...]
    next_cursor: str | None
