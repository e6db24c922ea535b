"""Group commit: simultaneous items share a group, and a bad item fails alone."""

import asyncio
from collections.abc import Sequence

import pytest
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.errors import OverloadedError


class Doubling:
    """Doubles numbers. Fails for a group that contains `bad`, and for every group while `away`."""

    def __init__(self, bad: int | None = None, *, away: bool = False) -> None:
        self.bad = bad
        self.away = away
        self.started = asyncio.Event()
        self.groups: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        self.started.set()
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("away")
        if self.bad in numbers:
            raise ValueError("bad")
        return [2 * number for number in numbers]


def group_commit(act: Doubling, linger: float = 0) -> GroupCommit[int, int]:
    return GroupCommit(act, is_common=lambda error: isinstance(error, ConnectionError), linger=linger)


async def test_simultaneous_items_form_one_group_and_each_gets_its_own_result() -> None:
    act = Doubling()
    double = group_commit(act)
    assert await asyncio.gather(*map(double, range(5))) == [0, 2, 4, 6, 8]
    assert act.groups == [[0, 1, 2, 3, 4]]


async def test_items_that_arrive_meanwhile_form_the_next_group() -> None:
    act = Doubling()
    double = group_commit(act)
    first = asyncio.create_task(double(1))
    await act.started.wait()
    assert list(await asyncio.gather(double(2), double(3), first)) == [4, 6, 2]
    assert act.groups == [[1], [2, 3]]


async def test_a_bad_item_fails_alone() -> None:
    act = Doubling(bad=2)
    results = await asyncio.gather(*map(group_commit(act), (1, 2, 3)), return_exceptions=True)
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], ValueError)


async def test_a_common_error_is_not_retried_for_each_item() -> None:
    act = Doubling(away=True)
    results = await asyncio.gather(*map(group_commit(act), (1, 2, 3)), return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results)
    assert act.groups == [[1, 2, 3]]


async def test_a_cancelled_caller_does_not_affect_the_others() -> None:
    act = Doubling()
    double = group_commit(act)
    leaving, staying = asyncio.create_task(double(1)), asyncio.create_task(double(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_in_a_burst_a_group_is_collected() -> None:
    act = Doubling()
    double = group_commit(act, linger=0.05)
    await double(1)
    second = asyncio.create_task(double(2))
    await asyncio.sleep(0.01)  # a fifth of the linger
    assert list(await asyncio.gather(second, double(3))) == [4, 6]
    assert act.groups == [[1], [2, 3]]


async def test_a_new_item_is_rejected_while_too_many_wait() -> None:
    act = Doubling()
    double = GroupCommit(act, is_common=lambda error: False, most_waiting=2)
    asked = [asyncio.create_task(double(number)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await asked[2]
    assert await asyncio.gather(*asked[:2]) == [0, 2]
    assert await double(3) == 6


async def test_a_new_item_is_rejected_while_a_group_hangs() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def hang(numbers: Sequence[int]) -> Sequence[int]:
        started.set()
        await release.wait()
        return numbers

    same = GroupCommit(hang, is_common=lambda error: False, patience=0)
    first, second = asyncio.create_task(same(1)), asyncio.create_task(same(2))
    await started.wait()
    with pytest.raises(OverloadedError):
        await same(3)
    release.set()
    assert list(await asyncio.gather(first, second)) == [1, 2]
    assert await same(4) == 4
