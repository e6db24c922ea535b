"""How often what is random is tried: enough to be quick in `make test`, and ten times that in `make torture`."""

import os
from typing import Final

TORTURE: Final = bool(os.environ.get("TOCSIN_TORTURE"))


def tries(count: int) -> int:
    """So many tries in `make test`."""
    return count * 10 if TORTURE else count
