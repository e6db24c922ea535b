"""The ports of a stack: each moved by the same offset, so that two stacks can run side by side."""

from collections.abc import Mapping

from tocsin_local.errors import LocalError

LOOPBACK = "127.0.0.1"
BASE = {
    "intake": 8080,
    "sla-timer": 8081,
    "escalator": 8082,
    "notifier": 8083,
    "inbox": 8025,
    "smtp": 2525,
    "postgres": 5432,
    "kafka": 9092,
    "kafka-controller": 9093,
}


def ports(offset: int) -> dict[str, int]:
    """The port of each listener of the stack."""
    return {name: port + offset for name, port in BASE.items()}


def offset_from(environment: Mapping[str, str]) -> int:
    """TOCSIN_PORT_OFFSET; raises LocalError unless it keeps all ports between 1024 and 65535."""
    text = environment.get("TOCSIN_PORT_OFFSET", "0")
    try:
        offset = int(text)
    except ValueError as error:
        raise LocalError(f"TOCSIN_PORT_OFFSET={text!r} is no whole number.") from error
    if min(BASE.values()) + offset < 1024 or max(BASE.values()) + offset > 65535:
        raise LocalError(f"TOCSIN_PORT_OFFSET={offset} moves a port out of 1024 to 65535.")
    return offset
