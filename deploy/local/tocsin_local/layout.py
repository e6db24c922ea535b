"""Where a stack is: its folders and its port numbers. Imports little, so that short commands stay fast."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tocsin_local.errors import LocalError

REPOSITORY: Final = Path(__file__).parents[3]
POLICY_FOLDER: Final = REPOSITORY / "deploy" / "policy"
PROMETHEUS_FOLDER: Final = REPOSITORY / "deploy" / "prometheus"
BASE_PORTS: Final = {
    "intake": 8080,
    "sla-timer": 8081,
    "escalator": 8082,
    "notifier": 8083,
    "board": 8084,
    "inbox": 8025,
    "smtp": 2525,
    "postgres": 5432,
    "kafka": 9092,
    # Debian's packages start a Prometheus and an Alertmanager, on 9090, 9093 and 9094.
    "kafka-controller": 9095,
    "prometheus": 9190,
    "alertmanager": 9193,
}


def state_folder(environment: Mapping[str, str]) -> Path:
    """`$TOCSIN_STATE`, or var/ in the repository."""
    return Path(environment.get("TOCSIN_STATE") or REPOSITORY / "var").absolute()


def ports(offset: int) -> dict[str, int]:
    """The port of each listener of a stack: all move by the same offset, so that two stacks can run side by side."""
    return {name: port + offset for name, port in BASE_PORTS.items()}


def port_offset(environment: Mapping[str, str]) -> int:
    """TOCSIN_PORT_OFFSET. Raises LocalError unless it keeps all ports between 1024 and 65535."""
    text = environment.get("TOCSIN_PORT_OFFSET", "0")
    try:
        offset = int(text)
    except ValueError as error:
        raise LocalError(f"TOCSIN_PORT_OFFSET={text!r} is not a whole number.") from error
    moved = ports(offset).values()
    if min(moved) < 1024 or max(moved) > 65535:
        raise LocalError(f"TOCSIN_PORT_OFFSET={offset} moves a port out of the range 1024 to 65535.")
    return offset
