"""How many random examples the tests try: few in `make test`, ten times the number in `make torture`."""

import os
from typing import Final

TORTURE: Final = bool(os.environ.get("TOCSIN_TORTURE"))


def tries(count: int) -> int:
    """`count`, or ten times `count` in `make torture`."""
    return count * 10 if TORTURE else count
