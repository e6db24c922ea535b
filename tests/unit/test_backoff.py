"""Exponential back-off."""

from datetime import timedelta

import pytest
from tocsin.backoff import Backoff

BACKOFF = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=10))


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (1_000_000, 10)])
def test_the_pause_doubles_up_to_the_longest(failures: int, seconds: float) -> None:
    assert BACKOFF.pause(failures) == timedelta(seconds=seconds)


def test_jitter_shortens_the_pause_by_up_to_half() -> None:
    assert BACKOFF.pause(2, jitter=0.0) == timedelta(seconds=1)
    assert BACKOFF.pause(2, jitter=0.5) == timedelta(seconds=1.5)


def test_another_factor() -> None:
    quick = Backoff(timedelta(seconds=1), timedelta(hours=1), factor=4)
    assert quick.pause(3) == timedelta(seconds=16)
    assert quick.pause(1_000_000) == timedelta(hours=1)
