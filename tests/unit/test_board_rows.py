"""The rows of the board: texts, bars, groups and their order, and when time alone changes them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from board.domain.board_ticket import BoardClock, BoardTicket, ClockState, LastMail, Stretch, TicketGroup, TicketPhase
from board.domain.ticket_row import TicketRow, left_words, next_change, role_words, sort_key, ticket_row
from board.domain.time_words import PageTime
from hypothesis import example, given
from hypothesis import strategies as st
from support.board_tickets import HOUR, MINUTE, NOW, board_clock, board_ladder, board_ticket
from tocsin.business_time import load_zone
from tocsin.events import Acknowledgement

ZONE = load_zone("Europe/Berlin")
PAUSED = board_clock(left=3 * HOUR, state=ClockState.PAUSED)


def row(found: BoardTicket, at: datetime = NOW, holder: str | None = "Ruth Adeyemi") -> TicketRow:
    return ticket_row(found, PageTime(ZONE, at), lambda role, customer, when: holder)


def test_a_running_clock_shows_what_is_left_and_when_it_is_due() -> None:
    (bar,) = row(board_ticket(clocks=[board_clock(left=2 * HOUR + 10 * MINUTE, target=8 * HOUR)])).clocks
    assert (bar.name, bar.kind, bar.text, bar.used) == ("Resolution", "at_risk", "2 h 10 min left", 73)
    assert bar.due is not None
    assert (bar.due.iso, bar.due.text) == ("2026-06-08T16:10:00Z", "Mon 18:10")


def test_an_overdue_clock_shows_for_how_long() -> None:
    (bar,) = row(board_ticket(clocks=[board_clock(left=-35 * MINUTE)])).clocks
    assert (bar.kind, bar.text, bar.used, bar.state) == ("breached", "overdue by 35 min", 100, "overdue")


def test_a_clock_is_overdue_from_the_first_instant_after_its_deadline() -> None:
    clock = board_clock(left=HOUR)
    texts = [row(board_ticket(clocks=[clock]), NOW + HOUR + later).clocks[0].text for later in (0 * HOUR, MINUTE)]
    assert texts == ["under 1 min left", "overdue by 1 min"]


def test_a_paused_clock_shows_what_is_left_and_no_deadline() -> None:
    (bar,) = row(board_ticket(clocks=[PAUSED], state=TicketPhase.PAUSED), NOW + timedelta(days=2)).clocks
    assert (bar.kind, bar.text, bar.due, bar.target) == ("paused", "paused, 3 h left", None, "8 business hours")


def test_time_in_which_the_clock_does_not_count_is_not_used() -> None:
    """One hour today, and the rest of the eight tomorrow morning."""
    tomorrow = NOW + timedelta(hours=18)
    remaining = (Stretch(NOW, NOW + HOUR), Stretch(tomorrow, tomorrow + 2 * HOUR))
    clock = board_clock(left=20 * HOUR, target=8 * HOUR, remaining=remaining)
    bars = [row(board_ticket(clocks=[clock]), at).clocks[0] for at in (NOW, NOW + HOUR, tomorrow, tomorrow + HOUR)]
    assert [(bar.text, bar.used) for bar in bars] == [
        ("3 h left", 62),
        ("2 h left", 75),
        ("2 h left", 75),
        ("1 h left", 88),
    ]
    assert bars[1].stretches == f"{int(tomorrow.timestamp())}+7200"


def test_the_bar_marks_a_coming_warning() -> None:
    clock = board_clock(left=4 * HOUR, target=8 * HOUR, warn_at=NOW + 2 * HOUR)
    marks = [row(board_ticket(clocks=[clock]), at).clocks[0].warn for at in (NOW, NOW + 2 * HOUR)]
    assert marks == [75, None]


def test_only_clocks_that_have_not_ended_are_shown() -> None:
    ended = board_clock("response", state=ClockState.MET, ended_at=NOW - HOUR)
    assert [bar.name for bar in row(board_ticket(clocks=[ended, board_clock()])).clocks] == ["Resolution"]


def test_the_ladder_names_people_by_the_directory_and_roles_otherwise() -> None:
    found = board_ticket(
        ladder=board_ladder(tier=2), last_mail=LastMail("Maya Lindqvist", "service_desk_team_lead", NOW - HOUR)
    )
    shown = row(found)
    assert (shown.tier, shown.next_tier) == (2, 3)
    assert shown.mailed is not None
    assert (shown.mailed.who, shown.mailed.at.text) == ("Maya Lindqvist", "Mon 15:00")
    assert shown.next is not None
    assert (shown.next.who, shown.next.role) == ("Ruth Adeyemi", "IT operations director")
    vacant = row(found, holder=None).next
    assert vacant is not None
    assert (vacant.who, vacant.role) == ("IT operations director", None)


def test_an_acknowledgement_names_who_took_it() -> None:
    taken = (Acknowledgement(at=NOW - HOUR, by="ada"), Acknowledgement(at=NOW - MINUTE, by="paul"))
    shown = row(board_ticket(ladder=replace(board_ladder(), state="held", acknowledgements=taken)))
    assert shown.acknowledged is not None
    assert (shown.acknowledged.who, shown.ladder_state) == ("paul", "held")


def test_an_ended_ladder_is_not_shown() -> None:
    shown = row(board_ticket(ladder=replace(board_ladder(), state="ended", ended_at=NOW)))
    assert (shown.tier, shown.next, shown.acknowledged) == (None, None, None)


@pytest.mark.parametrize(
    ("clocks", "group"),
    [
        ([board_clock(left=-MINUTE)], TicketGroup.BREACHED),
        ([board_clock(left=-MINUTE, provisional=True)], TicketGroup.SILENT),
        ([board_clock("response", left=-MINUTE), board_clock(left=6 * HOUR)], TicketGroup.BREACHED),
        ([board_clock(left=4 * HOUR)], TicketGroup.AT_RISK),
        ([board_clock(left=4 * HOUR + MINUTE)], TicketGroup.LATER),
        ([PAUSED], TicketGroup.LATER),
        ([], TicketGroup.LATER),
    ],
    ids=["breached", "silent", "one of two", "at most 4 h", "more", "paused", "not evaluated"],
)
def test_the_group_follows_from_the_clocks(clocks: Sequence[BoardClock], group: TicketGroup) -> None:
    assert row(board_ticket(clocks=clocks)).group is group


def test_the_longest_overdue_come_first_then_time_left_then_paused_ones() -> None:
    lefts = {"a": -2 * HOUR, "b": -HOUR, "c": MINUTE, "d": 50 * HOUR}
    tickets = [board_ticket(name, clocks=[board_clock(left=left)]) for name, left in lefts.items()]
    tickets += [board_ticket("e", clocks=[PAUSED]), board_ticket("f", clocks=[])]
    tickets.reverse()
    ordered = sorted(tickets, key=lambda found: sort_key(found, NOW))
    assert [found.ticket.external_id for found in ordered] == ["a", "b", "c", "d", "e", "f"]


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), min_size=1, max_size=5)


@given(spans, st.booleans(), st.integers(0, 400))
@example([(0, 1), (1, 1), (0, 239)], False, 0)
def test_between_two_changes_the_group_stays(spans: list[tuple[int, int]], provisional: bool, later: int) -> None:
    """`next_change` is what wakes the live updates: a change that it missed would never be shown."""
    remaining, at = [], NOW
    for pause, length in spans:
        begin = at + pause * MINUTE
        at = begin + length * MINUTE
        remaining.append(Stretch(begin, at))
    total = sum((stretch.end - stretch.begin for stretch in remaining), timedelta(0))
    clock = board_clock(left=total, target=total + HOUR, remaining=tuple(remaining), due_at=at, provisional=provisional)
    found = board_ticket(clocks=[clock])
    start = NOW + later * MINUTE
    change = next_change(found, start)
    end = change if change is not None else start + timedelta(days=9)
    before = end - timedelta(microseconds=1) if change is not None else end
    assert found.group(before) is found.group(start)
    if found.group(start) is TicketGroup.LATER:
        assert change is not None
        assert found.group(change) is TicketGroup.AT_RISK


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "under 1 min"), (59, "59 min"), (60, "1 h"), (61, "1 h 1 min"), (1570, "26 h 10 min"), (6001, "100 h")],
)
def test_time_left_is_in_hours_because_a_business_day_is_shorter_than_a_day(minutes: int, words: str) -> None:
    assert left_words(minutes * MINUTE + timedelta(seconds=59)) == words


def test_another_week_and_another_year_are_written_out() -> None:
    lefts = (timedelta(days=6), timedelta(days=300))
    rows = [row(board_ticket(clocks=[board_clock(left=left, target=left)])) for left in lefts]
    dues = [each.clocks[0].due for each in rows]
    assert [due.text for due in dues if due] == ["Sun 14 Jun 16:00", "Sun 4 Apr 2027 16:00"]


def test_roles_are_shown_as_people_write_them() -> None:
    assert role_words("senior_it_operations_manager") == "Senior IT operations manager"
