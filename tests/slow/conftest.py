"""One stack for all scenarios that move business time and take minutes."""

from collections.abc import Iterator

import pytest
from support.movable_stack import MovableStack, start_movable_stack


@pytest.fixture(scope="package")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    """The stack that the slow scenarios share. Each moves its business time forward, never back."""
    with start_movable_stack(tmp_path_factory.mktemp("scenarios")) as stack:
        yield stack
