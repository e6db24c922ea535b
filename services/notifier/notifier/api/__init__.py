"""The notifier's calls: what became of every mail."""

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine

from notifier.api import reading


def router(reader: AsyncEngine) -> APIRouter:
    """The routes, reading by `reader`."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])
    reading.add(routes, reader)
    return routes
