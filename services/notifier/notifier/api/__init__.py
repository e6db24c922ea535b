"""The notifier's calls: what became of every mail, and what people and mail servers make of it afterwards."""

from collections.abc import Callable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.directory import Directory
from tocsin.runtime.process.clock import TimeSource

from notifier.api import bounces, deliveries, redelivery


def router(
    reader: AsyncEngine,
    writer: AsyncEngine,
    clock: TimeSource,
    directory: Callable[[], Directory | None],
    wake: Callable[[], None],
) -> APIRouter:
    """The routes. `directory` is the one in force; `wake` tells worker and relay that something was committed."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])
    deliveries.add(routes, reader)
    redelivery.add(routes, writer, clock, directory, wake)
    bounces.add(routes, writer, clock, directory, wake)
    return routes
