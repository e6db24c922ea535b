"""`python -m tocsin`: commands for the whole installation."""

import asyncio

import typer
from aiokafka.errors import KafkaError

from tocsin.runtime.errors import TopicError
from tocsin.runtime.kafka.client import create_topics
from tocsin.runtime.process.settings import KafkaSettings, load

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Commands for the whole installation."""


@app.command()
def topics() -> None:
    """Create the missing Kafka topics at TOCSIN_KAFKA."""
    settings = load(KafkaSettings)
    try:
        created = asyncio.run(create_topics(settings.kafka))
    except (KafkaError, OSError, TopicError) as error:
        typer.echo(f"The topics could not be created: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo("Created " + ", ".join(created) if created else "All topics exist.")


if __name__ == "__main__":
    app()
