"""The costs that `make bench` measures have not grown: the short form, as ratios to references in the same run.

It runs alone, before the other slow tests (Makefile).
"""

import statistics

import pytest
from bench.check import WATCHED, WORSE, Watched, kept_ratios, measured_ratios


@pytest.mark.parametrize("watched", WATCHED, ids=lambda one: one.figure)
def test_no_cost_is_a_third_higher_than_the_kept_one(watched: Watched) -> None:
    limit = WORSE * kept_ratios()[watched.figure]
    ratios = measured_ratios(watched, rounds=3)
    if statistics.median(ratios) > limit:  # something else ran meanwhile: more rounds decide
        ratios += measured_ratios(watched, rounds=5)
    assert statistics.median(ratios) <= limit, f"{ratios} against {limit / WORSE}"
