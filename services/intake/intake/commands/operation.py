"""How commands work on the service: with its settings, its engines and its use cases, but without serving."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import structlog
import typer
from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.process.commands import exit_on_database_error
from tocsin.runtime.process.settings import load, use_stack_environment

from intake.service import IntakeService, open_service
from intake.settings import Settings

_T = TypeVar("_T")


def fail(message: str, status: int = 1) -> NoReturn:
    """Print a sentence on stderr and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(status)


def load_settings() -> Settings:
    """The settings of intake: from the environment, or those of the stack of `make run`."""
    use_stack_environment("intake")
    return load(Settings)


def with_service(act: Callable[[IntakeService], Awaitable[_T]]) -> _T:
    """The result of a use case. A failure of the configuration or the database is one sentence."""
    settings = load_settings()
    with warnings_on_stderr(), exit_on_database_error():
        try:
            return asyncio.run(run(settings, act))
        except ConfigurationError as error:
            fail(str(error), 2)


async def run(settings: Settings, act: Callable[[IntakeService], Awaitable[_T]]) -> _T:
    """The result of a use case of the service with these settings."""
    async with open_service(settings) as service:
        return await act(service)


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Log only warnings, and on stderr, so that stdout has nothing but the result."""
    kept = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**kept)
