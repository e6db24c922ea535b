"""One stack for all scenarios: started by the first one, stopped after the last one."""

from collections.abc import Iterator

import pytest
from support.movable_stack import MovableStack, start_movable_stack


@pytest.fixture(scope="package")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    """The stack that all scenarios share. Each moves its business time forward, never back."""
    with start_movable_stack(tmp_path_factory.mktemp("scenarios")) as stack:
        yield stack
