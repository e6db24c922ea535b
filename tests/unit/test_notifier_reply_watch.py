"""When a reply of a mail server is overdue, and which overdue replies say that the server hangs."""

import pytest
from notifier.handlers.claims import ClaimedMail
from notifier.workers.capacity import Attempt
from notifier.workers.reply_watch import ReplyWatch
from support.notifier_events import NOON


def attempt() -> Attempt:
    return Attempt(ClaimedMail(None, (), NOON), is_probe=False, claim_began=0)


def test_a_reply_is_overdue_after_seconds_and_sooner_while_the_server_is_known_to_hang() -> None:
    watch = ReplyWatch(60)
    assert (watch.limit(is_hung=False), watch.limit(is_hung=True)) == (5, 2)


@pytest.mark.parametrize(("usual", "limit"), [(0.1, 5), (4, 16), (20, 60)])
def test_a_slow_server_gets_four_times_its_usual_time_at_most_the_timeout(usual: float, limit: float) -> None:
    watch = ReplyWatch(60)
    watch.replied(100, 100 + usual)
    assert watch.limit(is_hung=False) == limit


def test_a_server_that_was_slow_once_is_slow_no_longer_after_twenty_quick_replies() -> None:
    watch = ReplyWatch(60)
    watch.replied(0, 20)
    for number in range(20):
        assert watch.limit(is_hung=False) == 60
        watch.replied(100 + number, 100.1 + number)
    assert watch.limit(is_hung=False) == 5


def test_a_short_timeout_leaves_time_for_a_verdict() -> None:
    watch = ReplyWatch(10)
    assert (watch.limit(is_hung=False), watch.limit(is_hung=True)) == (2.5, 1)


def test_replies_are_overdue_together_until_the_server_replies() -> None:
    watch = ReplyWatch(60)
    first, second, third = attempt(), attempt(), attempt()
    watch.replied(99, 100.1)
    assert watch.add_overdue(first, 100, 105) == [first]
    assert watch.add_overdue(second, 101, 106) == [first, second]
    watch.replied(102, 107)
    assert watch.add_overdue(third, 105, 110) == [third]


def test_an_attempt_that_has_ended_is_not_overdue_with_later_ones() -> None:
    watch = ReplyWatch(60)
    first, second, third = attempt(), attempt(), attempt()
    watch.add_overdue(first, 100, 105)
    watch.ended(first)
    assert watch.add_overdue(second, 200, 205) == [second]
    watch.ended(first)
    assert watch.add_overdue(third, 201, 206) == [second, third]


def test_a_server_that_replied_to_others_lately_does_not_hang() -> None:
    watch = ReplyWatch(60)
    watch.replied(102, 103)
    assert watch.add_overdue(attempt(), 100, 105) == []
    assert watch.has_replied_since(102.9)
    assert not watch.has_replied_since(103.1)
