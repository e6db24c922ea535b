"""Facts of a ticket: the rejected workaround, its history, and events that are added one after the other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from intake.domain.facts import history_of, reject_workarounds
from intake.domain.new_ticket import new_ticket
from intake.domain.ticket_facts import TicketFacts
from intake.domain.ticket_request import EventRequest, TicketRequest, validate_request
from intake.errors import RecordTooLargeError, WorkaroundError
from pydantic import ValidationError
from tocsin.events import Fact, FactType
from tocsin.policy import load_policy

POLICY = load_policy((Path(__file__).parents[2] / "deploy" / "policy" / "policy.yaml").read_text(), "policy.yaml")
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
RECEIVED = NOON + timedelta(days=1)


def fact(number: int, type: str, minutes: int = 0, **fields: Any) -> Fact:
    return Fact(
        number=number,
        event_id=f"e{number}",
        type=FactType(type),
        occurred_at=NOON + timedelta(minutes=minutes),
        received_at=RECEIVED,
        **fields,
    )


def opened(severity: int) -> Fact:
    return fact(1, "opened", severity=severity)


@pytest.mark.rule("0.9")
@pytest.mark.parametrize(
    ("initial", "changes", "rejected"),
    [
        (1, [], True),
        (2, [], False),
        (2, [fact(2, "severity_changed", 30, severity=1)], True),
        (1, [fact(2, "severity_changed", 30, severity=2)], False),
        (1, [fact(2, "severity_changed", 31, severity=2)], True),
        (2, [fact(2, "severity_changed", 31, severity=1)], False),
        (2, [fact(2, "cancelled", 10), fact(3, "severity_changed", 20, severity=1)], True),
    ],
)
def test_a_workaround_is_rejected_if_the_ticket_is_severity_1_at_its_instant(
    initial: int, changes: list[Fact], rejected: bool
) -> None:
    workaround = fact(9, "resolved", 30, resolution_kind="workaround")
    facts = [workaround, *changes, opened(initial)]
    if rejected:
        with pytest.raises(WorkaroundError):
            reject_workarounds(facts, new=[workaround])
    else:
        reject_workarounds(facts, new=[workaround])
    reject_workarounds(facts, new=changes)


def test_a_resolve_is_never_rejected() -> None:
    resolve = fact(2, "resolved", 30, resolution_kind="resolved")
    reject_workarounds([opened(1), resolve], new=[resolve])


def test_the_history_names_the_closing_fact_and_the_instant_of_the_reopening() -> None:
    resolved, cancelled = fact(2, "resolved", 5), fact(4, "cancelled", 9)
    reopened, again = fact(3, "reopened", 7), fact(5, "resolved", 10)
    assert history_of([opened(3)]).closed_by is None
    assert history_of([opened(3), resolved]).closed_by == resolved
    after_reopen = history_of([reopened, opened(3), resolved])
    assert (after_reopen.closed_by, after_reopen.reopened_at) == (None, reopened.occurred_at)
    assert (after_reopen.status.cycle, after_reopen.status.closed) == (2, False)
    closed_again = history_of([again, cancelled, reopened, opened(3), resolved])
    assert (closed_again.closed_by, closed_again.reopened_at) == (cancelled, reopened.occurred_at)


def request(type: str, **fields: Any) -> EventRequest:
    return validate_request(EventRequest, {"type": type, "actor": "Bob", **fields})


def ticket(severity: int) -> TicketFacts:
    """A ticket with its opening only."""
    body = {
        "source": "connectwise",
        "external_id": "SR-1",
        "severity": severity,
        "summary": "Mail is down",
        "affected_services": ["Email"],
        "contact": {"name": "Ada", "phone": "1"},
        "customer": {"id": "acme", "name": "Acme"},
        "opened_at": NOON.isoformat(),
    }
    new = new_ticket(POLICY, "default", validate_request(TicketRequest, body), RECEIVED)
    known = {stored.fact.event_id: stored for stored in new.facts}
    return TicketFacts(ticket=new.ticket, policy=POLICY, received_at=RECEIVED, known=known)


def test_events_are_numbered_and_change_severity_and_state() -> None:
    one = ticket(3).add(request("severity_changed", severity=2), "a")
    two = one.add(request("resolved", resolution_kind="workaround"), "b")
    assert [stored.fact.number for stored in two.new] == [2, 3]
    assert (one.ticket.state.severity, one.ticket.state.is_open) == (2, True)
    assert (two.ticket.state.severity, two.ticket.state.is_open, two.ticket.last_number) == (2, False, 3)


@pytest.mark.rule("1.2")
def test_a_severity_change_keeps_who_set_it_when_and_why() -> None:
    change = request("severity_changed", severity=2, reason="VIP", occurred_at="2026-06-08T13:00:00Z")
    (stored,) = ticket(3).add(change, "a").new
    fact = stored.fact
    assert (fact.severity, fact.actor, fact.occurred_at, fact.reason) == (2, "Bob", NOON + timedelta(hours=1), "VIP")
    with pytest.raises(ValidationError, match="actor"):
        validate_request(EventRequest, {"type": "severity_changed", "severity": 2})


@pytest.mark.rule("0.3")
def test_an_event_that_occurs_after_its_receipt_occurs_at_its_receipt() -> None:
    (stored,) = ticket(3).add(request("paused", occurred_at="2031-01-01T00:00:00Z"), "a").new
    assert stored.fact.occurred_at == RECEIVED


def test_an_event_is_checked_against_the_events_before_it() -> None:
    workaround = request("resolved", resolution_kind="workaround")
    with pytest.raises(WorkaroundError):
        ticket(1).add(workaround, "a")
    assert not ticket(1).add(request("severity_changed", severity=2), "a").add(workaround, "b").ticket.state.is_open


def test_an_event_larger_than_a_record_is_rejected() -> None:
    with pytest.raises(RecordTooLargeError):
        ticket(3).add(request("paused", reason="€" * 9_000).model_copy(update={"actor": "€" * 300_000}), "a")
