"""`python -m tocsin`: commands that concern all services."""

import asyncio

import typer
from aiokafka.errors import KafkaError

from tocsin.runtime.errors import TopicError
from tocsin.runtime.kafka.client import create_topics
from tocsin.runtime.process.settings import KafkaSettings, load

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Commands that concern all services of tocsin."""


@app.command()
def topics() -> None:
    """Create the Kafka topics that are not there yet, at TOCSIN_KAFKA."""
    settings = load(KafkaSettings)
    try:
        created = asyncio.run(create_topics(settings.kafka))
    except (KafkaError, OSError, TopicError) as error:
        typer.echo(f"The topics could not be created: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo("Created " + ", ".join(created) if created else "All topics are there.")


if __name__ == "__main__":
    app()
