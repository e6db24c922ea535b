"""The stack of the stories, started when the first of them asks and stopped behind the last."""

from collections.abc import AsyncIterator, Iterator

import pytest
from support.movable_stack import Clockwork, started
from support.story_world import World


@pytest.fixture(scope="package")
def clockwork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clockwork]:
    """One whole stack for all stories; its business time is moved by them, forward only."""
    with started(tmp_path_factory.mktemp("stories")) as running_stack:
        yield running_stack


@pytest.fixture
async def world(clockwork: Clockwork) -> AsyncIterator[World]:
    """A world that begins on a Monday morning, with every part running."""
    async with World(clockwork) as story:
        yield story
