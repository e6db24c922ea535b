"""How large the tables of a service are: what retention must keep in check."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

_COUNTED_BYTES = 8_000_000
_SIZES = text(
    "SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes, pg_relation_size(c.oid) AS heap,"
    # As the planner estimates it: the density when the table was last analysed, times its present pages.
    " CASE WHEN c.reltuples >= 0 AND c.relpages > 0"
    "      THEN c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::int)"
    "      ELSE pg_stat_get_live_tuples(c.oid) END AS estimate"
    " FROM pg_class c WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)"
)


class TableSize(NamedTuple):
    """The rows of a table, and its bytes on disk with indexes and long values."""

    name: str
    rows: int
    bytes: int


async def load_table_sizes(connection: AsyncConnection, tables: Sequence[Table]) -> list[TableSize]:
    """The size of each table. A table of more than 8 MB is not counted: its rows are PostgreSQL's estimate."""
    by_name = {table.name: table for table in tables}
    found = (await connection.execute(_SIZES, {"names": list(by_name)})).all()
    sizes = []
    for row in found:
        rows = row.estimate
        if row.heap <= _COUNTED_BYTES:
            rows = (await connection.execute(select(func.count()).select_from(by_name[row.name]))).scalar_one()
        sizes.append(TableSize(row.name, round(rows), row.bytes))
    return sizes
