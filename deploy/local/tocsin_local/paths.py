"""Where things lie. Imports nothing of weight, so that a short command stays quick."""

from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
POLICY_FOLDER = REPOSITORY / "deploy" / "policy"


def state_folder(environment: Mapping[str, str]) -> Path:
    """`$TOCSIN_STATE`, or var/ in the repository."""
    return Path(environment.get("TOCSIN_STATE") or REPOSITORY / "var").absolute()


def control_file(state: Path) -> Path:
    """Where a running stack tells its port and token for `stop`, `start` and `kill`."""
    return state / "control.json"
