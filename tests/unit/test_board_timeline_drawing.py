"""The drawn timeline of a ticket: nothing overlaps that must be read, and time goes from left to right."""

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from board.api.html import render
from board.domain.board_ticket import Stretch
from board.domain.mail_reasons import mail_reasons
from board.domain.ticket_headline import ticket_headline
from board.domain.ticket_history import ticket_history
from board.domain.ticket_story import TicketStory
from board.domain.ticket_view import ticket_view
from board.domain.time_scale import BREAK_WIDTH, build_scale
from board.domain.time_words import PageTime
from board.domain.timeline_drawing import TimelineDrawing, draw_timeline
from board.domain.viewer import Viewer
from sla_timer.domain.policy_history import PolicyHistory
from support.fake_timer import moment, numbered_fact
from support.html_page import HtmlPage
from support.published_stories import PublishedStory
from support.random_stories import random_story, story_policy
from support.search_budget import tries
from support.timer_world import facts_of, fields_of
from tocsin.business_time import load_zone

NEW_YORK = load_zone("America/New_York")
HOUR = timedelta(hours=1)


def assert_readable(drawing: TimelineDrawing, story: TicketStory, time: PageTime) -> None:
    """What the module promises."""
    rows = defaultdict(list)
    for label in drawing.labels:
        assert label.x >= 0, label
        assert label.right <= drawing.width + 0.01, label
        rows[label.row].append(label)
    for row in rows.values():
        for left, right in pairwise(sorted(row, key=lambda label: label.x)):
            assert left.right <= right.x, (left, right)
    lanes = defaultdict(list)
    for mark in drawing.marks:
        lanes[mark.lane].append(mark)
    for lane in lanes.values():
        for left_mark, right_mark in pairwise(sorted(lane, key=lambda mark: mark.x)):
            assert left_mark.right <= right_mark.left, (left_mark, right_mark)
    bars = defaultdict(list)
    for bar in drawing.bars:
        assert bar.x >= 0, bar
        assert bar.x + bar.width <= drawing.width, bar
        bars[bar.y, bar.height].append(bar)
    for (_, height), of_lane in bars.items():
        if height == 12:
            for before, after in pairwise(of_lane):
                assert before.x + before.width <= after.x + 0.51, (before, after)
    instants = sorted([entry.at for entry in ticket_history(story, time)] + [time.now])
    places = [drawing.scale.x(at) for at in instants]
    assert places == sorted(places)
    ticks = drawing.scale.ticks(time)
    assert [tick.at for tick in ticks] == sorted({tick.at for tick in ticks})


def tell(story: dict[str, Any]) -> PublishedStory:
    """The story, fact by fact, with everything that falls due in between."""
    facts = facts_of(story)
    teller = PublishedStory.of(
        PolicyHistory.of([story_policy()], None),
        **({"channel": "portal"} | fields_of(story)),
        opened_at=facts[0].occurred_at,
        initial_severity=facts[0].severity,
    )
    for fact in facts:
        teller.receive(fact)
    teller.advance(max(datetime.fromisoformat(story["until"]), facts[-1].received_at))
    return teller


def test_any_story_can_be_read() -> None:
    drawn, zones = 0, ("UTC", "America/New_York")
    for seed in range(tries(40)):
        teller = tell(random_story(Random(seed)))
        story, now = teller.story(), teller.now
        assert now is not None
        time = PageTime(load_zone(zones[seed % len(zones)]), now)
        assert_readable(draw_timeline(story, time), story, time)
        assert len(mail_reasons(story, time)) == len(story.deliveries)
        assert ticket_headline(story, time).now
        view = ticket_view(story, time, None)
        page = HtmlPage.of(render("ticket.html.j2", viewer=Viewer("default", "key"), section=None, view=view))
        assert page.tags.count("li") > len(story.facts) + len(story.deliveries)
        drawn += 1
    assert drawn == tries(40)


@pytest.mark.parametrize("minutes", [1, 20, 24 * 60, 90 * 24 * 60, 3 * 366 * 24 * 60])
def test_minutes_and_years_fit(minutes: int) -> None:
    teller = PublishedStory.of()
    teller.receive(numbered_fact(1, "opened", "06-08 12:00", severity=1))
    now = moment("06-08 12:00") + timedelta(minutes=minutes)
    teller.advance(now)
    time = PageTime(NEW_YORK, now)
    story = teller.story()
    drawing = draw_timeline(story, time)
    assert_readable(drawing, story, time)
    assert 3 <= len(drawing.scale.ticks(time)) <= 20
    assert [label.text for label in drawing.labels if label.css == "now"] == [f"now {time.clock(now)}"]


def test_the_working_days_of_years_are_a_few_bars() -> None:
    teller = PublishedStory.of(opened_at=moment("01-05 13:00"), initial_severity=4)
    teller.receive(numbered_fact(1, "opened", "01-05 13:00", severity=4))
    teller.receive(numbered_fact(2, "responded", "01-05 13:00"))
    now = moment("01-05 13:00") + timedelta(days=3 * 365)
    teller.advance(now)
    drawing = draw_timeline(teller.story(), PageTime(NEW_YORK, now))
    assert len(drawing.bars) < 60  # of 1,500 stretches; long weekends stay
    assert {bar.css for bar in drawing.bars if bar.width > 100} == {"over", "running"}


def test_a_night_a_weekend_and_the_time_while_closed_are_breaks() -> None:
    teller = PublishedStory.of(opened_at=moment("06-12 19:00"), initial_severity=3)
    teller.receive(numbered_fact(1, "opened", "06-12 19:00", severity=3))
    teller.receive(numbered_fact(2, "responded", "06-12 20:00"))
    teller.receive(numbered_fact(3, "resolved", "06-15 20:00"))
    teller.receive(numbered_fact(4, "reopened", "08-03 12:00"))
    teller.advance(moment("08-03 14:00"))
    scale = draw_timeline(teller.story(), PageTime(NEW_YORK, moment("08-03 14:00"))).scale
    lengths = [piece.end - piece.begin for piece in scale.breaks]
    assert max(lengths) > timedelta(days=45)
    assert any(timedelta(days=2) < length < timedelta(days=3) for length in lengths)
    assert {piece.width for piece in scale.breaks} == {BREAK_WIDTH}
    assert scale.x(moment("08-03 14:00")) - scale.x(moment("08-03 12:00")) > 20


def test_what_late_evidence_has_voided_is_marked() -> None:
    teller = PublishedStory.of()
    teller.receive(numbered_fact(1, "opened", "06-08 12:00", severity=1))
    teller.receive(numbered_fact(2, "responded", "06-08 12:30"))
    teller.advance(moment("06-09 14:40"))
    teller.receive(numbered_fact(3, "resolved", "06-09 12:00", received="06-09 14:41"))
    time = PageTime(NEW_YORK, moment("06-09 15:00"))
    teller.advance(time.now)
    marks = draw_timeline(teller.story(), time).marks
    assert {mark.kind for mark in marks if mark.voided} == {"breached", "step"}
    voided = [entry for entry in ticket_history(teller.story(), time) if entry.voided]
    assert [entry.kind for entry in voided] == ["breached", "step", "step", "step"]


def test_one_mark_stands_for_mails_at_one_instant() -> None:
    teller = PublishedStory.of()
    teller.receive(numbered_fact(1, "opened", "06-08 12:00", severity=1))
    teller.advance(moment("06-10 03:00"))
    marks = draw_timeline(teller.story(), PageTime(NEW_YORK, moment("06-10 03:00"))).marks
    exhausted = next(mark for mark in marks if mark.kind == "mail" and mark.count == 6)
    assert exhausted.text == "6"
    assert exhausted.title.count("escalation exhausted") == 6


@pytest.mark.parametrize(
    ("begin", "end", "zone"),
    [
        ("2026-03-08T04:00:00+00:00", "2026-03-08T10:00:00+00:00", "America/New_York"),
        ("2026-11-01T03:00:00+00:00", "2026-11-01T09:00:00+00:00", "America/New_York"),
        ("2026-10-03T13:00:00+00:00", "2026-10-05T13:00:00+00:00", "Australia/Lord_Howe"),
        ("2011-12-29T00:00:00+00:00", "2012-01-01T00:00:00+00:00", "Pacific/Apia"),
    ],
)
def test_ticks_are_round_local_times_where_the_clocks_change(begin: str, end: str, zone: str) -> None:
    starts_at, ends_at = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    scale = build_scale(starts_at, ends_at, busy=[Stretch(starts_at, ends_at)], moments=[], width=900)
    time = PageTime(ZoneInfo(zone), starts_at)
    ticks = scale.ticks(time)
    assert len(ticks) > 4
    assert all(left.at < right.at and left.x < right.x for left, right in pairwise(ticks))
    assert all(time.local(tick.at).second == 0 and time.local(tick.at).minute % 30 == 0 for tick in ticks)


def test_a_repeated_hour_says_which_one_it_is() -> None:
    time = PageTime(NEW_YORK, datetime.fromisoformat("2026-11-01T12:00:00+00:00"))
    twice = [datetime.fromisoformat(f"2026-11-01T0{hour}:30:00+00:00") for hour in (5, 6)]
    assert [time.clock(at).words for at in twice] == ["01:30 EDT", "01:30 EST"]
    assert time.clock(twice[1] + HOUR).words == "02:30"
