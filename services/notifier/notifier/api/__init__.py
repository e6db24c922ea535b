"""The notifier's calls: what became of every mail, and what people and mail servers make of it afterwards."""

from collections.abc import Callable

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.clock import Clock

from notifier.api import reading, redelivering


def router(reader: AsyncEngine, writer: AsyncEngine, clock: Clock, wake: Callable[[], None]) -> APIRouter:
    """The routes; `wake` tells the worker and the relay of this process that something was committed."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])
    reading.add(routes, reader)
    redelivering.add(routes, writer, clock, wake)
    return routes
