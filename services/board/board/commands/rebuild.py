"""`python -m board rebuild`: build the read model again."""

import asyncio
from collections.abc import Mapping

import typer
from aiokafka.errors import KafkaError
from tocsin.runtime.database.engine import engine
from tocsin.runtime.kafka.client import PARTITIONS, TOPICS
from tocsin.runtime.kafka.topic_ends import TopicEnds
from tocsin.runtime.process.commands import exit_on_database_error
from tocsin.runtime.process.settings import DatabaseSettings, KafkaSettings, load

from board.handlers.rebuild import rebuild


class RebuildSettings(DatabaseSettings, KafkaSettings):
    """The settings of `rebuild`."""


def rebuild_read_model() -> None:
    """Empty the read model and read the topics from their beginnings, also while the board runs."""
    settings = load(RebuildSettings)
    try:
        ranges = asyncio.run(_ranges(settings.kafka))
    except (KafkaError, OSError, TimeoutError) as error:
        typer.echo(f"Kafka cannot be used: {error!r}. Nothing was changed.", err=True)
        raise typer.Exit(1) from None
    beginnings = {topic: first for topic, (first, _) in ranges.items()}
    with exit_on_database_error():
        asyncio.run(_rebuild(settings.database_url, beginnings))
    for topic, (first, last) in ranges.items():
        records = sum(last[partition] - first[partition] for partition in first)
        typer.echo(f"{topic}: {records} records to read, from the beginning of the topic.")
    typer.echo("The read model is empty. The running board reads the topics now; if it is stopped, start it.")
    typer.echo("For what the topics no longer hold, run `republish --since T` of the other services.")


async def _ranges(bootstrap: str) -> Mapping[str, tuple[Mapping[int, int], Mapping[int, int]]]:
    """The begin and end offsets of each topic by partition."""
    found = {}
    for topic in TOPICS:
        ends = TopicEnds(bootstrap, topic, PARTITIONS)
        try:
            found[topic] = await ends.fetch_range()
        finally:
            await ends.close()
    return found


async def _rebuild(url: str, beginnings: Mapping[str, Mapping[int, int]]) -> None:
    writer = engine(url, "board-rebuild", pool_size=1)
    try:
        async with writer.begin() as connection:
            await rebuild(connection, beginnings)
    finally:
        await writer.dispose()
