"""The loopback interface: which ports are in use, and whether a server responds."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Final

from tocsin_local.errors import PortTakenError
from tocsin_local.layout import BASE_PORTS, ports

LOOPBACK: Final = "127.0.0.1"
_BELOW_EPHEMERAL: Final = 32_000
"""Systems give higher ports to outgoing connections."""


def is_listening(port: int) -> bool:
    """Whether something accepts connections on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def responds(port: int, path: str) -> bool:
    """Whether a GET of the path is 200, within 3 s."""
    connection = HTTPConnection(LOOPBACK, port, timeout=3)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def check_port(name: str, port: int) -> None:
    """Raise PortTakenError if nobody can listen on the port; `name` is the part that wants to."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise PortTakenError(
                f"port {port} for {name} is in use by another program: stop it, "
                "or move all ports with TOCSIN_PORT_OFFSET=1000."
            ) from error


def free_port() -> int:
    """A port that is free now, for tests."""
    return next(port for port in _candidates(_BELOW_EPHEMERAL) if _is_free(port))


def free_port_offset() -> int:
    """A port offset at which all ports of a stack are free now, for temporary stacks."""
    end = _BELOW_EPHEMERAL - max(BASE_PORTS.values())
    return next(offset for offset in _candidates(end) if all(map(_is_free, ports(offset).values())))


def _candidates(end: int) -> Iterator[int]:
    while True:
        yield 10_000 + secrets.randbelow(end - 10_000)


def _is_free(port: int) -> bool:
    with suppress(PortTakenError):
        check_port("a test", port)
        return True
    return False
