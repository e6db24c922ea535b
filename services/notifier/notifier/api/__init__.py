"""The notifier's HTTP API: deliveries and their journal, redelivery, bounce reports, who is on call."""

from collections.abc import Callable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier.api import bounces, deliveries, on_call
from notifier.domain.return_path import ReturnPath


def routers(
    reader: AsyncEngine,
    writer: AsyncEngine,
    clock: TimeSource,
    directory: DirectoryFile,
    return_path: ReturnPath | None,
    wake: Callable[[], None],
) -> list[APIRouter]:
    """All routes. `wake` is called after a commit that queued mails or events."""
    return [
        on_call.router(directory, clock),
        deliveries.router(reader),
        deliveries.redelivery_router(writer, clock, directory, wake),
        bounces.router(writer, clock, directory, return_path, wake),
        bounces.unmatched_router(reader),
    ]
