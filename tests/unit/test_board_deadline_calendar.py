"""The iCalendar of deadlines, read again with the library."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import icalendar
from board.domain.board_ticket import BoardTicket
from board.domain.deadline_calendar import deadlines_within, export_deadlines
from board.domain.ticket_links import TicketLinks
from sla_timer.domain.policy_history import PolicyHistory
from support.evaluated_board_tickets import board_ticket, evaluated
from support.fake_timer import moment, numbered_fact, shipped_history
from support.random_stories import random_story, story_policy
from support.search_budget import tries
from support.timer_world import facts_of, fields_of

NOW = moment("06-08 14:30")
DAY = timedelta(days=1)
LINKS = TicketLinks(ticket_urls={"tests": "https://psa.example.com/{external_id}"})
OPENED = numbered_fact(1, "opened", "06-08 14:00", severity=1)


def on_board(*facts: Any, until: datetime = NOW, **fields: Any) -> BoardTicket:
    return board_ticket(evaluated(facts, until, shipped_history(), **fields))


def parsed(*tickets: BoardTicket, within: timedelta = DAY, links: TicketLinks = LINKS) -> Any:
    exported = export_deadlines(deadlines_within(tickets, NOW, within), links)
    calendar: Any = icalendar.Calendar.from_ical(exported)
    return calendar


def events(calendar: Any) -> list[Any]:
    return list(calendar.walk("VEVENT"))


def test_an_event_is_at_the_deadline_and_says_what_is_due_for_whom() -> None:
    summary = "Mail is down; nobody, anywhere, can send\nBEGIN:VEVENT"
    calendar = parsed(on_board(OPENED, summary=summary, customer={"id": "acme", "name": "Acme, Inc."}))
    assert (calendar["METHOD"], calendar["VERSION"]) == ("PUBLISH", "2.0")
    assert calendar["REFRESH-INTERVAL"].params["VALUE"] == "DURATION"
    [event] = events(calendar)
    assert event["DTSTART"].dt == moment("06-08 15:00")
    assert event["SUMMARY"] == f"Severity 1 response due: {summary} (Acme, Inc.)"
    assert "Ticket SR-1 in tests\nCustomer: Acme, Inc.\nAssignee: nobody\nTarget: 1 hour" in event["DESCRIPTION"]
    assert event["URL"] == "https://psa.example.com/SR-1"
    assert (event["PRIORITY"], event["TRANSP"]) == (1, "TRANSPARENT")
    assert "DTEND" not in event


def test_the_page_of_the_board_comes_before_that_of_the_tool() -> None:
    found = on_board(OPENED)
    [event] = events(parsed(found, links=replace(LINKS, public_url="https://sla.example.com")))
    assert event["URL"] == f"https://sla.example.com/tickets/{found.ticket_id}"
    [event] = events(parsed(found, links=TicketLinks()))
    assert "URL" not in event


def test_an_event_keeps_its_uid_while_its_deadline_moves_and_the_later_version_wins() -> None:
    """RFC 5546: the higher SEQUENCE wins, or the later DTSTAMP of an equal SEQUENCE."""
    responded = numbered_fact(2, "responded", "06-08 14:10")
    lowered = numbered_fact(3, "severity_changed", "06-08 14:30", severity=2)
    [before] = events(parsed(on_board(OPENED, responded), within=10 * DAY))
    [after] = events(parsed(on_board(OPENED, responded, lowered), within=10 * DAY))
    assert before["UID"] == after["UID"]
    assert before["DTSTART"].dt < after["DTSTART"].dt
    assert before["SEQUENCE"] < after["SEQUENCE"]
    [again] = events(parsed(on_board(OPENED, responded, until=NOW + DAY / 2), within=10 * DAY))
    assert (again["SEQUENCE"], again["DTSTART"].dt) == (before["SEQUENCE"], before["DTSTART"].dt)
    assert again["DTSTAMP"].dt > before["DTSTAMP"].dt


def test_the_passing_of_time_alone_changes_no_byte() -> None:
    found = on_board(OPENED)
    later = deadlines_within([found], NOW + timedelta(minutes=1), DAY)
    assert export_deadlines(later, LINKS) == export_deadlines(deadlines_within([found], NOW, DAY), LINKS)


def test_only_deadlines_within_the_time_are_listed_by_instant() -> None:
    found = on_board(OPENED, until=NOW)
    assert [one.clock.name for one in deadlines_within([found], NOW, DAY)] == ["response"]
    assert [one.clock.name for one in deadlines_within([found], NOW, 2 * DAY)] == ["response", "resolution"]
    assert deadlines_within([found], NOW, timedelta(minutes=29)) == []
    assert len(deadlines_within([found], NOW, timedelta(minutes=30))) == 1


def test_every_story_makes_a_calendar_that_the_library_reads_back() -> None:
    policies, read = PolicyHistory.of([story_policy()], None), 0
    for seed in range(tries(60)):
        drawn = random_story(Random(seed))
        facts = facts_of(drawn)
        known = max(fact.received_at for fact in facts)
        found = board_ticket(evaluated(facts, known, policies, **fields_of(drawn)))
        deadlines = deadlines_within([found], known, 30 * DAY)
        calendar = icalendar.Calendar.from_ical(export_deadlines(deadlines, LINKS))
        expected = [
            (f"{found.ticket_id}.{one.clock.cycle}.{one.clock.name}@tocsin", one.due_at.replace(microsecond=0))
            for one in deadlines
        ]
        shown: list[Any] = events(calendar)
        assert [(event["UID"], event["DTSTART"].dt) for event in shown] == expected, f"story {seed}"
        read += len(shown)
    assert read > 10
