"""The gauges of the stored tickets (docs/decisions/0032-gauges-come-from-the-database.md)."""

from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.metrics import Measurement

from intake import metrics
from intake.handlers.queries import load_figures


class TicketGauges:
    """Measures the tickets of all tenants. Every replica shows the same numbers."""

    def __init__(self, reader: AsyncEngine) -> None:
        self._reader = reader
        self._measurement = Measurement(metrics.forget_tickets)

    async def measure(self) -> None:
        """Set the gauges, and create the label sets of sources that this process has not met; a periodic job."""
        with self._measurement.attempt():
            async with self._reader.connect() as connection:
                figures = await load_figures(connection, metrics.MAX_SOURCES)
        metrics.SEVERITY_DISPUTED.set(figures.disputed)
        metrics.declare_sources(figures.sources)
