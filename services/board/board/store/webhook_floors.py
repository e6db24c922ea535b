"""The offsets before the last rebuild. Records below them make no webhooks again."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.bulk import among

from board.store.tables import OFFSETS, WEBHOOK_FLOORS

_READ: Final = OFFSETS.table


async def keep_offsets(connection: AsyncConnection) -> None:
    """Store the current offsets as floors. Call it before they are reset, in the same transaction."""
    columns = ("topic", "partition", "next_offset")
    present = select(*(_READ.c[name] for name in columns))
    # In the order in which everybody locks them: a consistent order avoids deadlock.
    locked = present.order_by(_READ.c.topic, _READ.c.partition).with_for_update()
    new = insert(WEBHOOK_FLOORS).from_select(columns, locked)
    highest = func.greatest(new.excluded.next_offset, WEBHOOK_FLOORS.c.next_offset)
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=[WEBHOOK_FLOORS.c.topic, WEBHOOK_FLOORS.c.partition], set_={"next_offset": highest}
        )
    )


async def load_floors(connection: AsyncConnection, topics: Collection[str]) -> Mapping[tuple[str, int], int]:
    """The floors of these topics, by topic and partition; a partition that was never rebuilt has none."""
    query = select(WEBHOOK_FLOORS).where(among(WEBHOOK_FLOORS.c.topic, topics))
    return {(row.topic, row.partition): row.next_offset for row in await connection.execute(query)}
