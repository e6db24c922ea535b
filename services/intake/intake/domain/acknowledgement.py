"""What a link in an escalation's mail still means, told from the ticket's facts, and what using it does (RULES 5).

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tocsin.acknowledgement import AcknowledgementLink
from tocsin.business_time import add, instant, micros
from tocsin.events import Fact, FactType, derived_id
from tocsin.policy import Target

from intake.domain.ticket_request import EventRequest
from intake.domain.ticket_state import Story, in_order, story

State = Literal["pending", "acknowledged", "closed", "superseded"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How the ticket stands for the holder of a link.

    `state`: `acknowledged` with this very link; `closed` since, or `superseded` by a reopening: there the link counts
    no more; otherwise `pending`. `answered` is the first response of the cycle, `given` the fact that this link
    brought, `others` are the acknowledgements of the same cycle that it did not bring, in the order of their
    occurrence.
    """

    state: State
    story: Story
    answered: Fact | None
    given: Fact | None
    others: tuple[Fact, ...]


def find(link: AcknowledgementLink, facts: Sequence[Fact]) -> Finding:
    """How the ticket with those facts stands for the holder of `link`."""
    told = story(facts)
    ours = event_id_of(link)
    since = told.reopened_at
    acknowledged = sorted(
        (fact for fact in facts if fact.type is FactType.ACKNOWLEDGED), key=lambda fact: (fact.occurred_at, fact.number)
    )
    later = [fact for fact in in_order(facts) if since is None or fact.occurred_at >= since]
    given = next((fact for fact in acknowledged if fact.event_id == ours), None)
    return Finding(
        state=_state(link, told, given),
        story=told,
        answered=next((fact for fact in later if fact.type is FactType.RESPONDED), None),
        given=given,
        others=tuple(
            fact for fact in acknowledged if fact is not given and (since is None or fact.occurred_at >= since)
        ),
    )


def event_id_of(link: AcknowledgementLink) -> str:
    """The same whenever this person acknowledges this step: twice is once."""
    return str(derived_id(link.ticket_id, "acknowledged", link.cycle, link.run, link.step, link.person))


def request_of(link: AcknowledgementLink) -> EventRequest:
    """The event that using the link posts, occurred at its receipt."""
    return EventRequest(
        type="acknowledged", actor=link.person, event_id=event_id_of(link), reason="by the link in the mail"
    )


def held_until(link: AcknowledgementLink, acknowledged_at: datetime, interval: Target) -> datetime:
    """The earliest instant at which the next tier is told: max(scheduled, acknowledged + interval) (RULES 5)."""
    free = instant(add(interval.measure, micros(acknowledged_at), interval.due))
    return free if link.upcoming is None else max(free, link.upcoming.at)


def _state(link: AcknowledgementLink, told: Story, given: Fact | None) -> State:
    if told.cycle != link.cycle:
        return "superseded"
    if told.ended_by is not None:
        return "closed"
    return "pending" if given is None else "acknowledged"
