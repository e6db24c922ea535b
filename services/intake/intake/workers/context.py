"""What the processing of a stored delivery needs."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from intake.handlers.context import IngestContext
from intake.sources.integrations_file import IntegrationsFile


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """`wake` tells the relay of this process that there are new events.

    `side_writer` is for everything but facts, so that only transactions that add facts hold back the watermark
    (docs/architecture.md#time).
    """

    ingest: IngestContext
    writer: AsyncEngine
    side_writer: AsyncEngine
    wake: Callable[[], None]
    integrations: IntegrationsFile
