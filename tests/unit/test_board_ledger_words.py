"""The ledger of a clock in plain words."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from board.domain.clock_ledger import ClockAccount, TicketLedger
from board.domain.ledger_words import LedgerContext, ledger_lines
from board.domain.time_words import PageTime, plain
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.ledger import ledger
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.simulate import SimulationRequest, simulate
from support.fake_timer import moment, numbered_fact, shipped_history
from support.random_stories import random_story, story_policy
from support.search_budget import tries
from support.timer_world import facts_of
from tocsin.business_time import load_zone, micros
from tocsin.events import Fact

NEW_YORK = load_zone("America/New_York")
_AMOUNT = re.compile(r"((?:\d+ h ?)?(?:\d+ min ?)?(?:\d+ s)?) counted")
_UNITS = {"h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}


def account(*facts: Fact, until: datetime, clock: str = "resolution", cycle: int = 1) -> ClockAccount:
    """The account that sla-timer states of one clock."""
    policies = shipped_history()
    timeline = evaluate(FactLog.of(facts, policies, channel="portal"), policies, micros(until))
    found = TicketLedger.model_validate({"ledger": ledger(timeline)}).of(cycle, clock)  # type: ignore[arg-type]
    assert found is not None
    return found


def ledger_sentences(*facts: Fact, until: str, **context: Any) -> list[str]:
    """The sentences about the resolution clock of cycle 1."""
    now = moment(until)
    lines = ledger_lines(account(*facts, until=now), LedgerContext(facts, **context), PageTime(NEW_YORK, now))
    return [plain(line.words) for line in lines]


def test_a_weekend_and_a_pause() -> None:
    assert ledger_sentences(
        numbered_fact(1, "opened", "06-05 19:00", severity=3),
        numbered_fact(2, "responded", "06-05 20:00"),
        numbered_fact(3, "paused", "06-08 15:00", reason="waiting_customer"),
        numbered_fact(4, "resumed", "06-08 17:00"),
        until="06-09 15:00",
    ) == [
        "Counted from the first response, Friday 5 June 16:00. Target: 5 business days, counted in the hours of the "
        "calendar default.",
        "1 h counted until closing at 17:00.",
        "The weekend did not count.",
        "3 h counted on Monday 8 June (08:00 to 11:00).",
        "Paused for 2 h (waiting for the customer), from Monday 8 June 11:00 to 13:00.",
        "4 h counted until closing at 17:00.",
        "3 h counted on Tuesday 9 June (08:00 to 11:00).",
        "In total 11 h of 45 h used.",
        "Deadline: Monday 15 June 09:00.",
    ]


def test_nights_and_weekends_at_the_beginning_and_at_the_end() -> None:
    assert ledger_sentences(
        numbered_fact(1, "opened", "06-04 23:30", severity=3),
        numbered_fact(2, "responded", "06-04 23:30"),
        until="06-07 14:00",
    )[1:-2] == [
        "Outside business hours from Thursday 4 June 19:30 to Friday 5 June 08:00.",
        "9 h counted on Friday 5 June (08:00 to 17:00).",
        "Outside business hours from Friday 5 June 17:00 to Sunday 7 June 10:00.",
    ]


def test_equal_working_days_are_one_sentence() -> None:
    sentences = ledger_sentences(
        numbered_fact(1, "opened", "06-22 12:00", severity=4),
        numbered_fact(2, "responded", "06-22 12:00"),
        until="07-10 23:00",
    )
    assert sentences[1] == (
        "14 working days of 9 h (126 h counted), Monday 22 June to Friday 10 July. In between, Friday 3 July did not "
        "count."
    )


def test_amounts_are_in_whole_seconds_and_still_add_up() -> None:
    facts = [numbered_fact(1, "opened", "06-08 12:00:00.300000", severity=1)]
    facts.append(numbered_fact(2, "responded", "06-08 12:00:00.300000"))
    for number in range(5):
        facts.append(numbered_fact(2 * number + 3, "paused", f"06-08 13:{number}1:00.700000"))
        facts.append(numbered_fact(2 * number + 4, "resumed", f"06-08 13:{number}1:10.300000"))
    now = moment("06-08 15:00:00.800000")
    found = account(*facts, until=now)
    sentences = [plain(line.words) for line in ledger_lines(found, LedgerContext(facts), PageTime(NEW_YORK, now))]
    assert sum(amounts(sentences), timedelta(0)) == timedelta(seconds=round(found.counted_seconds))
    assert not any("." in sentence.rstrip(".").replace(". ", "") for sentence in sentences)


def test_years_stay_readable() -> None:
    facts = (numbered_fact(1, "opened", "01-05 13:00", severity=4), numbered_fact(2, "responded", "01-05 13:00"))
    until = moment("01-05 13:00") + timedelta(days=3 * 365)
    found = account(*facts, until=until)
    lines = ledger_lines(found, LedgerContext(facts), PageTime(NEW_YORK, until))
    assert len(lines) < 15
    assert sum((line.counted for line in lines), timedelta(0)) == found.counted


def test_what_is_not_listed_is_counted_too() -> None:
    facts = (numbered_fact(1, "opened", "01-05 13:00", severity=4), numbered_fact(2, "responded", "01-05 13:00"))
    until = moment("01-05 13:00") + timedelta(days=6 * 365)
    found = account(*facts, until=until)
    assert found.truncated
    lines = ledger_lines(found, LedgerContext(facts), PageTime(NEW_YORK, until))
    assert "in more stretches than are listed here" in plain(lines[-3].words)
    assert sum((line.counted for line in lines), timedelta(0)) == found.counted


def test_closed_times_and_a_clock_around_the_clock() -> None:
    facts = (
        numbered_fact(1, "opened", "06-08 12:00", severity=1),
        numbered_fact(2, "responded", "06-08 12:30"),
        numbered_fact(3, "resolved", "06-08 14:30"),
        numbered_fact(4, "reopened", "06-10 12:00"),
    )
    now = moment("06-10 13:00")
    lines = ledger_lines(account(*facts, until=now, cycle=2), LedgerContext(facts), PageTime(NEW_YORK, now))
    assert [plain(line.words) for line in lines][1:4] == [
        "2 h counted, from Monday 8 June 08:30 to 10:30.",
        "Closed for 45 h 30 min (resolved), from Monday 8 June 10:30 to Wednesday 10 June 08:00.",
        "1 h counted, from Wednesday 10 June 08:00 to 09:00.",
    ]


def test_a_pause_that_lasts_makes_the_deadline_unknown() -> None:
    sentences = ledger_sentences(
        numbered_fact(1, "opened", "06-08 12:00", severity=1),
        numbered_fact(2, "responded", "06-08 12:00"),
        numbered_fact(3, "paused", "06-08 13:00", reason="vendor <b>"),
        until="06-08 14:00",
    )
    assert sentences[2:] == [
        "Paused for 1 h (vendor <b>), from Monday 8 June 09:00 to 10:00.",
        "In total 1 h of 24 h used.",
        "Deadline: unknown while the ticket waits for its customer.",
    ]


def test_a_provisional_deadline_and_the_start_of_the_work_are_explained() -> None:
    opened = numbered_fact(1, "opened", "06-08 12:00", severity=1)
    assert ledger_sentences(opened, until="06-08 14:00", provisional=True)[-1] == (
        "Deadline: Tuesday 9 June 09:00, counted from the response deadline. The first response sets the final one."
    )
    due_at = account(opened, until=moment("06-08 14:00")).due_at
    assert ledger_sentences(opened, until="06-08 14:00", starts_at=due_at)[-1] == (
        "Deadline: Tuesday 9 June 09:00, the start of the work, which is later than the target."
    )


def test_the_amounts_in_the_words_add_up_to_what_was_counted() -> None:
    """For random stories, with the numbers of sla-timer's own simulation as the truth."""
    policies = PolicyHistory.of([story_policy()], None)
    clocks, zones = 0, ("UTC", "America/New_York", "Pacific/Auckland")
    for seed in range(tries(120)):
        request = SimulationRequest.model_validate(story := random_story(Random(seed)), strict=False)
        simulated = simulate(request, [story_policy()])
        timeline = evaluate(request.fact_log(policies), policies, micros(request.until))
        accounts = TicketLedger.model_validate({"ledger": ledger(timeline)}).accounts
        time = PageTime(load_zone(zones[seed % len(zones)]), request.until)
        for expected, found in zip(simulated["clocks"], accounts, strict=True):
            lines = ledger_lines(found, LedgerContext(facts_of(story)), time)
            counted = sum(amounts(plain(line.words) for line in lines), timedelta(0))
            assert counted == timedelta(seconds=round(expected["net_seconds"])), f"story {seed}"
            clocks += 1
    assert clocks > 200


def amounts(sentences: Iterable[str]) -> Iterator[timedelta]:
    """The amounts that sentences say were counted."""
    for sentence in sentences:
        for amount in _AMOUNT.findall(sentence):
            parts = amount.split()
            for number, unit in zip(parts[::2], parts[1::2], strict=True):
                yield int(number) * _UNITS[unit]
