"""Which versions of tickets are complete."""

import pytest
from board.store.versions import complete_version

WRAP = 2**31


@pytest.mark.parametrize(
    ("last", "keys", "complete"),
    [
        (7, [], 7),
        (7, [7], 7),
        (7, [5, 6], 5),
        (0, [0], 0),
        (7, [9], 7),
        (7, [9, 6], 6),
        (WRAP + 3, [1], WRAP + 1),
        (WRAP + 3, [WRAP - 2], WRAP - 2),
        (WRAP + 3, [5], WRAP + 3),
    ],
)
def test_versions_are_complete_up_to_the_oldest_open_transaction(last: int, keys: list[int], complete: int) -> None:
    assert complete_version(last, keys) == complete
