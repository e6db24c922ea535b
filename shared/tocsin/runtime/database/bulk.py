"""Bulk writes: many rows in one statement with `unnest`, about ten times as fast as one statement per row."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

import orjson
from sqlalchemy import Dialect, Row, Table, TextClause, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

Rows = Sequence[Mapping[str, Any]]
"""Values by column name. Every row has the same columns."""


async def insert(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Insert the rows, in their order."""
    await _execute(connection, table, rows, "insert")


async def insert_new(connection: AsyncConnection, table: Table, rows: Rows) -> Sequence[Row[Any]]:
    """Insert the rows that violate no unique key, in their order, and return their primary keys."""
    return await _execute(connection, table, rows, "insert_new")


async def upsert(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Insert the rows, in their order; a row whose primary key exists replaces the other columns."""
    await _execute(connection, table, rows, "upsert")


async def update(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Update the rows with these primary keys to the other columns' values."""
    await _execute(connection, table, rows, "update")


_Kind = Literal["insert", "insert_new", "upsert", "update"]


async def _execute(connection: AsyncConnection, table: Table, rows: Rows, kind: _Kind) -> Sequence[Row[Any]]:
    if not rows:
        return ()
    names = tuple(rows[0])
    result = await connection.execute(_statement(connection.dialect, table, names, kind), _arrays(table, names, rows))
    return result.all() if result.returns_rows else ()


@cache
def _statement(dialect: Dialect, table: Table, names: tuple[str, ...], kind: _Kind) -> TextClause:
    keys = [column.name for column in table.primary_key]
    types = [table.c[name].type.compile(dialect=dialect) for name in names]
    # JSON and arrays are sent as text: asyncpg has no arrays of JSON, and unnest would flatten nested arrays.
    arrays = [
        f"CAST(:{name} AS {'text' if type_ == 'JSONB' or type_.endswith('[]') else type_}[])"
        for name, type_ in zip(names, types, strict=True)
    ]
    columns = ", ".join(f'"{name}"' for name in names)
    source = f"unnest({', '.join(arrays)}) WITH ORDINALITY AS u ({columns}, n)"
    values = {name: f'CAST(u."{name}" AS {type_})' for name, type_ in zip(names, types, strict=True)}
    if kind == "update":
        changes = ", ".join(f'"{name}" = {values[name]}' for name in names if name not in keys)
        which = " AND ".join(f'{table.name}."{key}" = u."{key}"' for key in keys)
        return text(f"UPDATE {table.name} SET {changes} FROM {source} WHERE {which}")
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    end = {
        "insert": "",
        "insert_new": f"ON CONFLICT DO NOTHING RETURNING {', '.join(keys)}",
        "upsert": f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {others}",
    }[kind]
    return text(
        f"INSERT INTO {table.name} ({columns}) SELECT {', '.join(values.values())} FROM {source} ORDER BY n {end}"
    )


def _arrays(table: Table, names: Sequence[str], rows: Rows) -> dict[str, list[Any]]:
    return {name: [_parameter(table.c[name].type, row[name]) for row in rows] for name in names}


def _parameter(type_: TypeEngine[Any], value: Any) -> Any:
    if isinstance(type_, JSONB) and value is not None:
        return orjson.dumps(value).decode()
    if isinstance(type_, ARRAY) and value is not None:
        return "{" + ",".join(_quoted(item) for item in value) + "}"
    return value


def _quoted(item: str) -> str:
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
