"""The gauges of the stored tickets. They come from the database, so every replica shows the same."""

from sqlalchemy.ext.asyncio import AsyncEngine

from intake import metrics
from intake.handlers.queries import load_figures


async def measure_tickets(reader: AsyncEngine) -> None:
    """Set the gauges, and create the label sets of sources that are new to this process; a job for the scheduler."""
    async with reader.connect() as connection:
        figures = await load_figures(connection, metrics.MAX_SOURCES)
    metrics.SEVERITY_DISPUTED.set(figures.disputed)
    metrics.declare_sources(figures.sources)
