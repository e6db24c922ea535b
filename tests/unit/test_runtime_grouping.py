"""What comes at the same time is done together, and one that cannot be done fails alone."""

import asyncio
from collections.abc import Sequence

import pytest
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.errors import OverloadedError


class Doubling:
    """Doubles numbers; refuses a group that holds `bad`, and everything while it is `away`."""

    def __init__(self, bad: int | None = None, *, away: bool = False) -> None:
        self.bad = bad
        self.away = away
        self.begun = asyncio.Event()
        self.groups: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        self.begun.set()
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("away")
        if self.bad in numbers:
            raise ValueError("bad")
        return [2 * number for number in numbers]


def grouped(act: Doubling, linger: float = 0) -> GroupCommit[int, int]:
    return GroupCommit(act, is_common=lambda error: isinstance(error, ConnectionError), linger=linger)


async def test_what_comes_at_the_same_time_is_one_group_with_each_its_own_answer() -> None:
    act = Doubling()
    double = grouped(act)
    assert await asyncio.gather(*map(double, range(5))) == [0, 2, 4, 6, 8]
    assert act.groups == [[0, 1, 2, 3, 4]]


async def test_what_comes_meanwhile_is_the_next_group() -> None:
    act = Doubling()
    double = grouped(act)
    first = asyncio.create_task(double(1))
    await act.begun.wait()
    assert list(await asyncio.gather(double(2), double(3), first)) == [4, 6, 2]
    assert act.groups == [[1], [2, 3]]


async def test_one_that_cannot_be_done_fails_alone() -> None:
    act = Doubling(bad=2)
    answers = await asyncio.gather(*map(grouped(act), (1, 2, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (2, 6)
    assert isinstance(answers[1], ValueError)


async def test_what_fails_for_all_is_not_tried_for_each() -> None:
    act = Doubling(away=True)
    answers = await asyncio.gather(*map(grouped(act), (1, 2, 3)), return_exceptions=True)
    assert all(isinstance(answer, ConnectionError) for answer in answers)
    assert act.groups == [[1, 2, 3]]


async def test_a_caller_that_gives_up_leaves_the_others_their_answers() -> None:
    act = Doubling()
    double = grouped(act)
    leaving, staying = asyncio.create_task(double(1)), asyncio.create_task(double(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_in_a_burst_a_group_is_waited_for() -> None:
    act = Doubling()
    double = grouped(act, linger=0.05)
    await double(1)
    second = asyncio.create_task(double(2))
    await asyncio.sleep(0.01)  # a fifth of what a group is waited for
    assert list(await asyncio.gather(second, double(3))) == [4, 6]
    assert act.groups == [[1], [2, 3]]


async def test_where_too_much_waits_one_more_is_sent_away() -> None:
    act = Doubling()
    double = GroupCommit(act, is_common=lambda error: False, most_waiting=2)
    asked = [asyncio.create_task(double(number)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await asked[2]
    assert await asyncio.gather(*asked[:2]) == [0, 2]
    assert await double(3) == 6


async def test_while_a_group_hangs_nobody_new_waits_behind_it() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def hang(numbers: Sequence[int]) -> Sequence[int]:
        begun.set()
        await release.wait()
        return numbers

    same = GroupCommit(hang, is_common=lambda error: False, patience=0)
    first, second = asyncio.create_task(same(1)), asyncio.create_task(same(2))
    await begun.wait()
    with pytest.raises(OverloadedError):
        await same(3)
    release.set()
    assert list(await asyncio.gather(first, second)) == [1, 2]
    assert await same(4) == 4
