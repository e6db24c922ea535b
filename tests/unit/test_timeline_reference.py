"""The timeline against a reference written from the rules alone: the same answer to every random story."""

from random import Random

import pytest
from sla_timer.domain.simulate import SimulationRequest, simulate
from support.random_stories import AUTOMATIC_ACTORS, random_story, story_policy
from support.reference_timeline import reference
from support.search_budget import tries

STORIES = tries(400)
BLOCK = 100


@pytest.mark.parametrize("first", range(0, STORIES, BLOCK))
def test_every_story_gives_the_timeline_of_the_reference(first: int) -> None:
    policies = [story_policy()]
    for seed in range(first, min(first + BLOCK, STORIES)):
        drawn = random_story(Random(seed))
        simulated = simulate(SimulationRequest.model_validate(drawn, strict=False), policies)
        del simulated["events"]
        assert simulated == reference(drawn, AUTOMATIC_ACTORS), f"story {seed}: {drawn}"
