"""uvicorn, configured with our limits, and the socket that it listens on."""

import resource
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tocsin.runtime.errors import PortError
from tocsin.runtime.http.h11_protocol import MOST_CONNECTIONS, BoundedH11

IDLE_SECONDS: Final = 30
"""Seconds that a connection may stay idle between two requests."""
_SHUTDOWN_SECONDS: Final = 10


def create_server(app: ASGIApp) -> uvicorn.Server:
    """A server on h11, which refuses endless headers (httptools does not). It leaves the signals to the caller."""
    return _Server(
        uvicorn.Config(
            app,
            http=BoundedH11,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it. asyncio sets it only where the socket's protocol is given as TCP. Without it every
        # response, whose head and body are two writes, would wait 40 ms for the client's delayed acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise PortError(f"Cannot listen on {host}:{port}: {error.strerror}") from error


def raise_open_file_limit() -> None:
    """Allow enough open files for our own limit of connections, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 2 * MOST_CONNECTIONS) if hard != resource.RLIM_INFINITY else 2 * MOST_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
