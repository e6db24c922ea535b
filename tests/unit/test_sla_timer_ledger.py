"""Why a due is what it is, in data and in words."""

from datetime import UTC, datetime
from typing import Any

from sla_timer.domain.fact_log import Rulebook, Story
from sla_timer.domain.ledger import LIMIT, ledger
from sla_timer.domain.timeline import Timeline
from support.fake_timer import moment, said
from support.stories import at, shipped_policy
from tocsin.business_time import SECOND, micros
from tocsin.events import Fact


def account(*facts: Fact, until: str, clock: str = "resolution", cycle: int = 1) -> dict[str, Any]:
    through = micros(moment(until))
    timeline = Timeline(Story.of(facts, "portal"), Rulebook([shipped_policy()], None)).tell(through)
    return next(one for one in ledger(timeline, through) if (one["clock"], one["cycle"]) == (clock, cycle))


def lines(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["from"], one["to"], one["reason"]) for one in told["intervals"]]


def test_a_business_clock_over_a_weekend_with_a_pause() -> None:
    told = account(
        said(1, "opened", "06-12 19:00", severity=3),
        said(2, "responded", "06-12 19:00"),
        said(3, "paused", "06-12 20:00"),
        said(4, "resumed", "06-12 20:30"),
        until="06-15 13:00",
    )
    assert lines(told) == [
        (at("06-12 19:00"), at("06-12 20:00"), "counted"),
        (at("06-12 20:00"), at("06-12 20:30"), "paused"),
        (at("06-12 20:30"), at("06-12 21:00"), "counted"),
        (at("06-12 21:00"), at("06-15 12:00"), "outside business hours"),
        (at("06-15 12:00"), at("06-15 13:00"), "counted"),
    ]
    assert (told["counted_seconds"], told["excluded_seconds"]) == (2.5 * 3600, 63.5 * 3600)
    assert (told["target"], told["measure"], told["truncated"]) == ("5 business days", "default", False)
    assert told["words"] == (
        "5 business days from 2026-06-12T19:00:00.000000Z, counted on the calendar default outside pauses and closed"
        f" times: due {told['due_at']}"
    )


def test_the_time_between_a_resolve_and_a_reopen_is_closed() -> None:
    told = account(
        said(1, "opened", "06-08 12:00", severity=1),
        said(2, "responded", "06-08 12:00"),
        said(3, "resolved", "06-08 14:00"),
        said(4, "reopened", "06-09 14:00"),
        until="06-09 15:00",
        cycle=2,
    )
    assert lines(told) == [
        (at("06-08 12:00"), at("06-08 14:00"), "counted"),
        (at("06-08 14:00"), at("06-09 14:00"), "closed"),
        (at("06-09 14:00"), at("06-09 15:00"), "counted"),
    ]
    assert told["counted_seconds"] == 3 * 3600


def test_an_unknown_due_says_why_and_the_open_pause_is_shown() -> None:
    told = account(
        said(1, "opened", "06-08 12:00", severity=1),
        said(2, "responded", "06-08 12:00"),
        said(3, "paused", "06-08 13:00"),
        until="06-08 15:00",
    )
    assert told["due_at"] is None
    assert lines(told)[-1] == (at("06-08 13:00"), at("06-08 15:00"), "paused")
    assert told["words"].endswith("due unknown while the ticket waits for its customer")


def test_a_provisional_due_says_that_it_is_one() -> None:
    told = account(said(1, "opened", "06-08 12:00", severity=1), until="06-08 12:30")
    assert told["words"].startswith("24 hours provisionally from the response's due, counted around the clock")


def test_of_a_ticket_that_is_open_for_years_the_first_intervals_are_shown() -> None:
    through = micros(datetime(2030, 1, 1, tzinfo=UTC))
    story = Story.of([said(1, "opened", "06-08 12:00", severity=4)], "portal")
    timeline = Timeline(story, Rulebook([shipped_policy()], None)).tell(through)
    response, _ = ledger(timeline, through)
    assert (len(response["intervals"]), response["truncated"]) == (LIMIT, True)
    assert response["counted_seconds"] + response["excluded_seconds"] == (through - timeline.opened_at) / SECOND
