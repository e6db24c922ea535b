"""Whose turn it is, and what follows an attempt."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.delivery_order import Needless, NobodyFound, Open, Person, Send, Turn, Wait, turns
from notifier.domain.smtp_result import Answer, Next, Past, Patience, Phase, Verdict, backoff, follow, judge
from support.notifier_events import NOON

DANA = Person("dana", "Dana", "dana@example.com", "default")
KIM = Person("kim", "Kim", "kim@example.com", "default")
MINUTE = timedelta(minutes=1)


def waiting(number: int, role: str = "lead", **fields: Any) -> Open:
    given_fields: dict[str, Any] = {
        "id": UUID(int=number),
        "occasion": f"escalation/1/1/{number}",
        "role": role,
        "customer_id": "acme",
        "scheduled_at": NOON,
        "ready_at": NOON,
    }
    return Open(**(given_fields | fields))


def now(
    *deliveries: Open, told: set[tuple[str, str]] | None = None, mailed: set[tuple[UUID, str]] | None = None
) -> list[Turn]:
    def holder(role: str, _: str, at: datetime) -> Person | None:
        left = role == "left" and at >= NOON + MINUTE
        return None if left else {"lead": DANA, "manager": KIM, "left": KIM}.get(role)

    return turns(deliveries, holder, told or set(), mailed or set(), business_now=NOON + MINUTE, real_now=NOON + MINUTE)


def test_first_attempts_of_a_ticket_leave_in_the_order_of_events() -> None:
    assert now(waiting(1), waiting(2), waiting(3, "manager")) == [Send(UUID(int=1), DANA)]
    lease = NOON + 2 * MINUTE
    assert now(waiting(1, in_flight=True, fixed=DANA, ready_at=lease), waiting(3, "manager")) == [
        Wait(UUID(int=3), lease)
    ]


def test_nobody_waits_for_the_retries_of_somebody_else() -> None:
    later = NOON + 5 * MINUTE
    assert now(waiting(1, ready_at=later, tried=True), waiting(3, "manager")) == [Send(UUID(int=3), KIM)]
    assert now(waiting(1, ready_at=later, tried=True), waiting(2), waiting(3, "manager")) == [
        Wait(UUID(int=2), later),
        Send(UUID(int=3), KIM),
    ]
    again = waiting(1, in_flight=True, fixed=DANA, ready_at=later, tried=True)
    assert now(again, waiting(3, "manager")) == [Send(UUID(int=3), KIM)]


def test_what_waits_behind_a_retry_rests_as_long() -> None:
    later = NOON + 5 * MINUTE
    assert now(waiting(1, ready_at=later), waiting(2)) == [Wait(UUID(int=2), later)]


def test_nothing_overtakes_an_attempt_in_flight() -> None:
    lease = NOON + 2 * MINUTE
    assert now(waiting(1, in_flight=True, fixed=DANA, ready_at=lease), waiting(2)) == [Wait(UUID(int=2), lease)]


def test_who_left_the_role_is_told_where_nobody_follows() -> None:
    assert now(waiting(1, "left")) == [Send(UUID(int=1), KIM)]


def test_nobody_at_all() -> None:
    assert now(waiting(1, "vacant")) == [NobodyFound(UUID(int=1))]


def test_two_roles_of_one_person_are_one_mail() -> None:
    again = waiting(2, occasion="escalation/1/1/1")
    assert now(again, told={("escalation/1/1/1", "dana")}) == [Needless(UUID(int=2), DANA, "told already")]


def test_an_ambiguous_mail_is_repeated_though_it_may_have_arrived() -> None:
    repeated = waiting(1, ambiguous=True, fixed=DANA)
    assert now(repeated, told={(repeated.occasion, "dana")}) == [Send(UUID(int=1), DANA)]


def test_only_who_was_mailed_is_stood_down() -> None:
    end = waiting(3, fixed=DANA, stands_down=frozenset({UUID(int=1)}))
    assert now(end, mailed={(UUID(int=1), "dana")}) == [Send(UUID(int=3), DANA)]
    assert now(end) == [Needless(UUID(int=3), DANA, "never mailed about it")]


@given(
    st.lists(st.tuples(st.sampled_from(["lead", "manager", "vacant"]), st.integers(-5, 5), st.booleans()), max_size=8)
)
def test_never_two_at_once_to_a_person_nor_out_of_order(drawn: list[tuple[str, int, bool]]) -> None:
    """Whatever is open: who is sent to has nothing earlier open, and one send at most."""
    open_ = []
    for number, (role, minutes, in_flight) in enumerate(drawn):
        flying = in_flight and minutes > 1 and role != "vacant"
        fixed = {"lead": DANA, "manager": KIM}.get(role) if flying else None
        ready_at = NOON + minutes * MINUTE
        open_.append(waiting(number, role, ready_at=ready_at, in_flight=flying, fixed=fixed))
    sends = [turn for turn in now(*open_) if isinstance(turn, Send)]
    people = {"lead": "dana", "manager": "kim", "vacant": None}
    for send in sends:
        earlier = [delivery for delivery in open_ if delivery.id < send.id]
        assert send.person.person not in {people[delivery.role] for delivery in earlier}
        assert open_[send.id.int].ready_at <= NOON + MINUTE
    assert len({send.person for send in sends}) == len(sends)


@pytest.mark.parametrize(
    ("phase", "code", "verdict"),
    [
        (Phase.CONNECT, None, Verdict.SERVER),
        (Phase.CONNECT, 535, Verdict.SERVER),
        (Phase.CONNECT, 421, Verdict.SERVER),
        (Phase.SENDER, 550, Verdict.SERVER),
        (Phase.SENDER, None, Verdict.SERVER),
        (Phase.RECIPIENT, 250, Verdict.SENT),
        (Phase.RECIPIENT, 450, Verdict.DEFERRED),
        (Phase.RECIPIENT, 550, Verdict.REFUSED),
        (Phase.RECIPIENT, 530, Verdict.SERVER),
        (Phase.RECIPIENT, None, Verdict.DEFERRED),
        (Phase.DATA, 250, Verdict.SENT),
        (Phase.DATA, 451, Verdict.DEFERRED),
        (Phase.DATA, 554, Verdict.REFUSED),
        (Phase.DATA, 421, Verdict.SERVER),
        (Phase.DATA, None, Verdict.AMBIGUOUS),
    ],
)
def test_what_an_answer_means(phase: Phase, code: int | None, verdict: Verdict) -> None:
    assert judge(Answer(phase, code, "")) is verdict


def test_a_deferred_mail_is_given_up_after_a_day_but_never_for_the_servers_trouble() -> None:
    old = Past(attempts=50, age=timedelta(hours=25))
    assert follow(Verdict.DEFERRED, old, Patience(), 0.5).state == "refused"
    assert follow(Verdict.AMBIGUOUS, old, Patience(), 0.5).state == "undeliverable"
    following = follow(Verdict.SERVER, old, Patience(), 0.5)
    assert following.state == "deferred"
    assert following.retry_in is not None
    assert following.retry_in <= timedelta(seconds=30)


@pytest.mark.parametrize("verdict", [Verdict.DEFERRED, Verdict.AMBIGUOUS, Verdict.SERVER])
def test_what_is_not_needed_any_more_is_not_tried_again(verdict: Verdict) -> None:
    withdrawn = Past(attempts=1, age=timedelta(), withdrawn=True)
    assert follow(verdict, withdrawn, Patience(), 0.5).state == "cancelled"
    assert follow(Verdict.SENT, withdrawn, Patience(), 0.5).state == "sent"


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_their_ceiling(failures: int, jitter: float) -> None:
    pause = backoff(failures, timedelta(seconds=1), timedelta(minutes=5), jitter)
    whole = min(timedelta(minutes=5), timedelta(seconds=2 ** min(failures - 1, 20)))
    assert whole / 2 <= pause <= whole
    assert backoff(failures, timedelta(seconds=1), timedelta(minutes=5), 0) == whole / 2


@pytest.mark.parametrize(
    ("verdict", "pauses"),
    [
        (Verdict.DEFERRED, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (Verdict.SERVER, [1, 2, 4, 8, 16, 30, 30]),
        (Verdict.AMBIGUOUS, [1, 4, 16, 64, 256, 1024, 3600, 3600]),
    ],
)
def test_each_attempt_is_followed_by_a_longer_pause_of_which_half_is_random(
    verdict: Verdict, pauses: list[int]
) -> None:
    for attempts, seconds in enumerate(pauses, 1):
        past = Past(attempts, age=timedelta(hours=1))
        for jitter, part in ((0, 0.5), (0.5, 0.75)):
            assert follow(verdict, past, Patience(), jitter) == Next("deferred", timedelta(seconds=seconds * part))
