"""What a service needs from its machine and its database server: disk space, a right clock, tables of bearable size."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime import metrics
from tocsin.runtime.database.engine import clock_timestamp
from tocsin.runtime.database.table_sizes import load_table_sizes


@dataclass(frozen=True)
class Resources:
    """The resources of a service. `file` is any file on the disk to watch; it need not exist."""

    reader: AsyncEngine
    tables: Sequence[Table]
    file: Path

    async def measure(self) -> None:
        """Set the gauges; a job for the scheduler."""
        metrics.DISK_FREE_RATIO.set(_free_ratio(self.file))
        async with self.reader.connect() as connection:
            before = time.time()
            there = (await clock_timestamp(connection)).timestamp()
            metrics.CLOCK_SKEW.set((before + time.time()) / 2 - there)
            for size in await load_table_sizes(connection, self.tables):
                metrics.TABLE_ROWS.labels(size.name).set(size.rows)
                metrics.TABLE_BYTES.labels(size.name).set(size.bytes)


def _free_ratio(file: Path) -> float:
    """The free share of the disk that holds the nearest folder that exists."""
    folder = next(each for each in file.absolute().parents if each.is_dir())
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total
