"""Our timeline against one that others wrote from the rules alone: the same answer to every random story."""

from random import Random

import pytest
from sla_timer.domain.simulate import StoryRequest, simulate
from support.random_stories import random_story
from support.reference_timeline import reference
from support.search_budget import tries
from support.stories import shipped_policy

STORIES = tries(400)
BLOCK = 100


@pytest.mark.parametrize("first", range(0, STORIES, BLOCK))
def test_every_story_is_told_as_the_reference_tells_it(first: int) -> None:
    for seed in range(first, min(first + BLOCK, STORIES)):
        asked = random_story(Random(seed))
        told = simulate(StoryRequest.model_validate(asked, strict=False), [shipped_policy()])
        del told["events"]
        assert told == reference(asked), f"story {seed}: {asked}"
