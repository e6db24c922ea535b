"""Assignee and impact from updates: whatever the order and number of deliveries, they are the same at every instant."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.ticket_values import NO_VALUES, TicketValues
from intake.domain.webhooks.update import TicketUpdate, sort_updates
from support.search_budget import tries
from tocsin.events import Assignee, Fact, FactType, Impact
from tocsin.lifecycle import in_order

OPENED = datetime(2026, 6, 8, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUTH, BEN = Assignee(name="Ruth", email="ruth@betterworldtech.com"), Assignee(name="Ben")


def at(hours: float, **fields: Any) -> TicketUpdate:
    return TicketUpdate(at=OPENED + hours * HOUR, delivery_key=f"{hours}{fields}", **fields)


class Ticket:
    """A ticket while updates about it arrive; with `opened_with` it was opened by REST with these values."""

    def __init__(self, opened_with: TicketValues | None = None) -> None:
        self.values = opened_with
        self._by_rest = opened_with is not None
        self.updates: list[TicketUpdate] = []
        self.facts = [self._fact(FactType.OPENED, OPENED, severity=3)]

    def deliver(self, *updates: TicketUpdate) -> list[str]:
        """Deliver updates in this order; returns the types of the new facts."""
        known = len(self.facts)
        for update in updates:
            self.updates.append(update)
            if self.values is None:
                self.values = NO_VALUES.after_update(update)
            opened_with = None if self._by_rest else 3
            for event in reconcile(self.updates, self.facts, actor="tool", opened_with=opened_with, values=self.values):
                fields = event.model_dump(exclude_none=True)
                self.facts.append(Fact(number=len(self.facts) + 1, received_at=OPENED + 99 * HOUR, **fields))
        return [str(fact.type) for fact in self.facts[known:]]

    def post(self, kind: FactType, hours: float, **fields: Any) -> None:
        self.facts.append(self._fact(kind, OPENED + hours * HOUR, **fields))

    def at(self, hours: float) -> TicketValues:
        """The values after the facts up to an instant."""
        values = self.values or NO_VALUES
        for fact in in_order(self.facts):
            if fact.occurred_at <= OPENED + hours * HOUR:
                values = values.after_fact(fact)
        return values

    def history(self) -> list[tuple[float, TicketValues]]:
        """The values at every instant at which something happened."""
        return [(hours / 2, self.at(hours / 2)) for hours in range(40)]

    def _fact(self, kind: FactType, occurred_at: datetime, **fields: Any) -> Fact:
        number = len(getattr(self, "facts", ())) + 1
        event_id = f"posted:{number}"
        return Fact(
            number=number, event_id=event_id, type=kind, occurred_at=occurred_at, received_at=occurred_at, **fields
        )


@st.composite
def stories(draw: st.DrawFn) -> list[TicketUpdate]:
    """Updates in the order of time, which state the assignee, some criteria, both or neither."""
    impacts = (
        None,
        Impact(work_stoppage="full"),
        Impact(work_stoppage="minor", business_risk="major"),
        Impact(workaround="none"),
    )
    story = []
    hours = draw(st.sampled_from((0, 1)))
    for sequence in range(draw(st.integers(1, 6))):
        assignee = draw(st.sampled_from((None, RUTH, BEN, "nobody")))
        story.append(
            TicketUpdate(
                at=OPENED + hours * HOUR,
                sequence=sequence,
                delivery_key=str(sequence),
                impact=draw(st.sampled_from(impacts)),
                assignee=assignee if isinstance(assignee, Assignee) else None,
                unassigned=assignee == "nobody",
            )
        )
        hours += draw(st.sampled_from((0, 1, 2)))
    return story


@pytest.mark.rule("1.11")
@settings(max_examples=tries(200))
@given(stories(), st.data())
def test_every_order_and_number_of_deliveries_leads_to_the_same_values(
    story: list[TicketUpdate], data: st.DataObject
) -> None:
    posted = data.draw(st.lists(st.tuples(st.sampled_from((0.5, 1, 3)), st.sampled_from((RUTH, None))), max_size=2))

    def history(updates: Sequence[TicketUpdate]) -> list[tuple[float, TicketValues]]:
        ticket = Ticket()
        ticket.deliver(updates[0])
        for hours, assignee in posted:
            ticket.post(FactType.ASSIGNED, hours, assignee=assignee)
        ticket.deliver(*updates[1:], updates[-1])
        assert ticket.deliver(updates[-1]) == []  # another copy adds nothing
        return ticket.history()

    repeated = data.draw(st.lists(st.sampled_from(story), max_size=2))
    assert history(data.draw(st.permutations([*story, *repeated]))) == history(story)


@pytest.mark.rule("1.11")
def test_a_change_of_the_assignee_or_the_impact_is_a_fact_and_its_repetition_is_none() -> None:
    ticket = Ticket()
    assert ticket.deliver(at(0, assignee=RUTH, impact=Impact(work_stoppage="some"))) == []
    assert ticket.deliver(at(1, assignee=RUTH, actor="ann")) == []
    assert ticket.deliver(at(2, assignee=BEN, impact=Impact(work_stoppage="full"), actor="ann")) == [
        "assessed",
        "assigned",
    ]
    assert [fact.actor for fact in ticket.facts[1:]] == ["ann", "ann"]
    assert ticket.deliver(at(3, unassigned=True)) == ["assigned"]
    assert (ticket.at(2).assignee, ticket.at(3).assignee) == (BEN, None)


@pytest.mark.rule("1.11")
def test_an_update_that_states_one_criterion_keeps_the_others() -> None:
    ticket = Ticket()
    ticket.deliver(at(0, impact=Impact(business_risk="major")), at(1, impact=Impact(work_stoppage="full")))
    assert ticket.at(1).impact == Impact(business_risk="major", work_stoppage="full")


def test_an_earlier_update_that_arrives_later_changes_the_opening() -> None:
    ticket = Ticket()
    ticket.deliver(at(2, assignee=RUTH, impact=Impact(work_stoppage="full")))
    assert ticket.deliver(at(1, assignee=BEN)) == ["assessed", "assigned", "assessed", "assigned"]
    assert (ticket.at(0).assignee, ticket.at(1).assignee, ticket.at(2).assignee) == (BEN, BEN, RUTH)
    assert (ticket.at(1).impact, ticket.at(2).impact) == (Impact(), Impact(work_stoppage="full"))


@pytest.mark.parametrize("opened_with", [TicketValues(), TicketValues(Impact(workaround="none"), BEN)])
def test_what_others_posted_is_not_repeated_and_stays_until_the_tool_states_something_else(
    opened_with: TicketValues,
) -> None:
    ticket = Ticket(opened_with)
    ticket.post(FactType.ASSIGNED, 1, assignee=RUTH)
    ticket.post(FactType.ASSESSED, 1, impact=Impact(work_stoppage="full"))
    assert ticket.deliver(at(2, assignee=RUTH, impact=Impact(work_stoppage="full"))) == []
    assert ticket.deliver(at(3)) == []
    assert ticket.deliver(at(4, assignee=BEN)) == ["assigned"]
    assert ticket.at(4) == TicketValues(Impact(work_stoppage="full"), BEN)
    assert ticket.at(0.5) == opened_with


def test_a_fact_of_another_that_contradicts_a_later_update_is_corrected_at_that_update() -> None:
    ticket = Ticket()
    ticket.deliver(at(0, assignee=RUTH), at(2, assignee=RUTH))
    ticket.post(FactType.ASSIGNED, 1, assignee=BEN)
    assert ticket.deliver(at(3, assignee=RUTH)) == ["assigned"]
    assert [ticket.at(hours).assignee for hours in (0, 1, 2, 3)] == [RUTH, BEN, RUTH, RUTH]


def test_values_change_also_on_a_closed_ticket() -> None:
    ticket = Ticket()
    ticket.deliver(at(0, status="new"), at(1, status="resolved"))
    assert ticket.deliver(at(2, assignee=RUTH)) == ["assigned"]
    assert sort_updates(ticket.updates)[-1].assignee == RUTH
