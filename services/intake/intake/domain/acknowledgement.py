"""The status of the link in an escalation mail, by the ticket's facts (docs/rules.md#5-28). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tocsin.acknowledgement import AcknowledgementLink
from tocsin.business_time import add, micros, to_datetime
from tocsin.events import Fact, FactType, derived_id
from tocsin.lifecycle import in_order
from tocsin.policy import Target

from intake.domain.facts import TicketHistory, history_of
from intake.domain.ticket_request import EventRequest

LinkState = Literal["pending", "acknowledged", "closed", "superseded"]


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The ticket as it concerns the holder of a link.

    `state`: `acknowledged` with this link; `closed`: the ticket was closed since; `superseded`: it was reopened since;
    otherwise `pending`. `response` is the first response in the ticket's last cycle. `acknowledgement` was made with
    this link; `other_acknowledgements` are the others in that cycle, by their instants.
    """

    state: LinkState
    history: TicketHistory
    response: Fact | None
    acknowledgement: Fact | None
    other_acknowledgements: tuple[Fact, ...]


def link_status(link: AcknowledgementLink, facts: Sequence[Fact]) -> LinkStatus:
    """The status of `link` for a ticket with these facts."""
    history = history_of(facts)
    begin = history.reopened_at
    in_cycle = [fact for fact in in_order(facts) if begin is None or fact.occurred_at >= begin]
    acknowledgements = [fact for fact in in_order(facts) if fact.type is FactType.ACKNOWLEDGED]
    event_id = acknowledgement_event_id(link)
    own = next((fact for fact in acknowledgements if fact.event_id == event_id), None)
    return LinkStatus(
        state=_state(link, history, own),
        history=history,
        response=next((fact for fact in in_cycle if fact.type is FactType.RESPONDED), None),
        acknowledgement=own,
        other_acknowledgements=tuple(fact for fact in acknowledgements if fact is not own and fact in in_cycle),
    )


def acknowledgement_event_id(link: AcknowledgementLink) -> str:
    """The event id of the link's acknowledgement: the same for the same person and step, so that it counts once."""
    event_id = derived_id(
        link.ticket_id, "acknowledged", cycle=link.cycle, run=link.run, step=link.step, person=link.person
    )
    return str(event_id)


def acknowledgement_request(link: AcknowledgementLink) -> EventRequest:
    """The event that the link records, at its receipt."""
    return EventRequest(
        type="acknowledged",
        actor=link.person,
        event_id=acknowledgement_event_id(link),
        reason="by the link in the mail",
    )


def held_until(link: AcknowledgementLink, acknowledged_at: datetime, interval: Target) -> datetime:
    """The earliest instant of the next tier: max(scheduled, acknowledged + interval) (docs/rules.md#5-7)."""
    earliest = to_datetime(add(interval.measure, micros(acknowledged_at), interval.due))
    return earliest if link.upcoming is None else max(earliest, link.upcoming.at)


def _state(link: AcknowledgementLink, history: TicketHistory, own: Fact | None) -> LinkState:
    if history.status.cycle != link.cycle:
        return "superseded"
    if history.closed_by is not None:
        return "closed"
    return "pending" if own is None else "acknowledged"
