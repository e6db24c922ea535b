"""Why a deadline is what it is, as data and in words."""

from datetime import UTC, datetime
from typing import Any

from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.ledger import LIMIT, ledger
from support.fake_timer import moment, numbered_fact, shipped_history
from support.stories import at
from tocsin.business_time import SECOND, micros
from tocsin.events import Fact


def account(*facts: Fact, until: str, clock: str = "resolution", cycle: int = 1) -> dict[str, Any]:
    timeline = evaluate(
        FactLog.of(facts, shipped_history(), channel="portal"), shipped_history(), micros(moment(until))
    )
    return next(one for one in ledger(timeline) if (one["clock"], one["cycle"]) == (clock, cycle))


def lines(one: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(interval["from"], interval["to"], interval["reason"]) for interval in one["intervals"]]


def test_a_business_clock_over_a_weekend_with_a_pause() -> None:
    found = account(
        numbered_fact(1, "opened", "06-12 19:00", severity=3),
        numbered_fact(2, "responded", "06-12 19:00"),
        numbered_fact(3, "paused", "06-12 20:00"),
        numbered_fact(4, "resumed", "06-12 20:30"),
        until="06-15 13:00",
    )
    assert lines(found) == [
        (at("06-12 19:00"), at("06-12 20:00"), "counted"),
        (at("06-12 20:00"), at("06-12 20:30"), "paused"),
        (at("06-12 20:30"), at("06-12 21:00"), "counted"),
        (at("06-12 21:00"), at("06-15 12:00"), "outside business hours"),
        (at("06-15 12:00"), at("06-15 13:00"), "counted"),
    ]
    assert (found["counted_seconds"], found["excluded_seconds"]) == (2.5 * 3600, 63.5 * 3600)
    assert (found["target"], found["measure"], found["truncated"]) == ("5 business days", "default", False)
    assert found["words"] == (
        "5 business days from 2026-06-12T19:00:00.000000Z, counted on the calendar default outside pauses and closed"
        f" times: due {found['due_at']}"
    )


def test_the_time_between_a_resolve_and_a_reopen_is_closed() -> None:
    found = account(
        numbered_fact(1, "opened", "06-08 12:00", severity=1),
        numbered_fact(2, "responded", "06-08 12:00"),
        numbered_fact(3, "resolved", "06-08 14:00"),
        numbered_fact(4, "reopened", "06-09 14:00"),
        until="06-09 15:00",
        cycle=2,
    )
    assert lines(found) == [
        (at("06-08 12:00"), at("06-08 14:00"), "counted"),
        (at("06-08 14:00"), at("06-09 14:00"), "closed"),
        (at("06-09 14:00"), at("06-09 15:00"), "counted"),
    ]
    assert found["counted_seconds"] == 3 * 3600


def test_a_pause_stops_the_resolution_clock_only() -> None:
    facts = [numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "paused", "06-08 12:10")]
    resolution = account(*facts, until="06-08 12:20")
    response = account(*facts, until="06-08 12:20", clock="response")
    assert [reason for _, _, reason in lines(resolution)] == ["counted", "paused"]
    assert lines(response) == [(at("06-08 12:00"), at("06-08 12:20"), "counted")]


def test_an_unknown_deadline_is_explained_and_the_open_pause_is_listed() -> None:
    found = account(
        numbered_fact(1, "opened", "06-08 12:00", severity=1),
        numbered_fact(2, "responded", "06-08 12:00"),
        numbered_fact(3, "paused", "06-08 13:00"),
        until="06-08 15:00",
    )
    assert found["due_at"] is None
    assert lines(found)[-1] == (at("06-08 13:00"), at("06-08 15:00"), "paused")
    assert found["words"].endswith("due unknown while the ticket waits for its customer")


def test_a_provisional_deadline_is_called_provisional() -> None:
    found = account(numbered_fact(1, "opened", "06-08 12:00", severity=1), until="06-08 12:30")
    assert found["words"].startswith("24 hours provisionally from the response deadline, counted around the clock")


def test_a_ticket_that_is_open_for_years_lists_its_first_intervals() -> None:
    opened_at, until = micros(moment("06-08 12:00")), micros(datetime(2030, 1, 1, tzinfo=UTC))
    log = FactLog.of([numbered_fact(1, "opened", "06-08 12:00", severity=4)], shipped_history(), channel="portal")
    response, _ = ledger(evaluate(log, shipped_history(), until))
    assert (len(response["intervals"]), response["truncated"]) == (LIMIT, True)
    assert response["counted_seconds"] + response["excluded_seconds"] == (until - opened_at) / SECOND
