"""Builds the read model again from the topics."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from board.store import records
from board.store.rebuilds import add_rebuild
from board.store.tables import OFFSETS
from board.store.webhook_floors import keep_offsets


async def rebuild(connection: AsyncConnection, beginnings: Mapping[str, Mapping[int, int]]) -> None:
    """Empty the read model, and continue from these offsets by topic and partition. Never commits.

    A running board need not be stopped: its batches in progress end first, and its consumers then read from the new
    offsets. Records that were read before make no webhooks again.
    """
    await keep_offsets(connection)
    for topic, offsets in sorted(beginnings.items()):
        await OFFSETS.rewind(connection, topic, offsets)
    await records.remove_all(connection)
    await add_rebuild(connection)
