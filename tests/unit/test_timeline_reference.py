"""The timeline against a reference written from the rules alone: the same answer to every random story."""

from random import Random

import pytest
from sla_timer.domain.simulate import SimulationRequest, simulate
from support.random_stories import random_story
from support.reference_timeline import reference
from support.search_budget import tries
from support.stories import shipped_policy

STORIES = tries(400)
BLOCK = 100


@pytest.mark.parametrize("first", range(0, STORIES, BLOCK))
def test_every_story_gives_the_timeline_of_the_reference(first: int) -> None:
    for seed in range(first, min(first + BLOCK, STORIES)):
        drawn = random_story(Random(seed))
        simulated = simulate(SimulationRequest.model_validate(drawn, strict=False), [shipped_policy()])
        del simulated["events"]
        assert simulated == reference(drawn), f"story {seed}: {drawn}"
