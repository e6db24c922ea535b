"""Many rows in one statement: arrays that the server unnests, some ten times as fast as a statement a row."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Dialect, Row, Table, TextClause, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection


async def upsert(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, in their order; where the primary key is there already, its other columns become the row's."""
    if rows:
        statement = _statement(connection.dialect, table, tuple(rows[0]), update=True)
        await connection.execute(statement, _arrays(table, rows))


async def insert_new(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Row[Any]]:
    """Insert the rows whose primary key is not there yet, and return the keys of those."""
    if not rows:
        return ()
    statement = _statement(connection.dialect, table, tuple(rows[0]), update=False)
    return (await connection.execute(statement, _arrays(table, rows))).all()


@cache
def _statement(dialect: Dialect, table: Table, names: tuple[str, ...], *, update: bool) -> TextClause:
    keys = [column.name for column in table.primary_key]
    types = [table.c[name].type.compile(dialect=dialect) for name in names]
    # JSON travels as text: the driver has no arrays of it.
    arrays = [
        f"CAST(:{name} AS {'text' if kind == 'JSONB' else kind}[])" for name, kind in zip(names, types, strict=True)
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f'CAST(u."{name}" AS {kind})' for name, kind in zip(names, types, strict=True))
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    action = f"DO UPDATE SET {others}" if update else f"DO NOTHING RETURNING {', '.join(keys)}"
    return text(
        f"INSERT INTO {table.name} ({columns}) SELECT {values} "
        f"FROM unnest({', '.join(arrays)}) WITH ORDINALITY AS u ({columns}, n) ORDER BY n "
        f"ON CONFLICT ({', '.join(keys)}) {action}"
    )


def _arrays(table: Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {
        name: [orjson.dumps(row[name]).decode() if isinstance(table.c[name].type, JSONB) else row[name] for row in rows]
        for name in rows[0]
    }
