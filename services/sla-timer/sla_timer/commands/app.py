"""The commands of `python -m sla_timer`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from tocsin.runtime.process.commands import service_commands

from sla_timer.commands.simulate import simulate_file
from sla_timer.store.published_events import published_since
from sla_timer.store.tables import OUTBOX

app = service_commands("sla_timer", "Schedule and fire the deadlines of every ticket.", OUTBOX, published_since)


@app.command("simulate")
def simulate(
    file: Annotated[
        str, typer.Argument(help="A JSON file with one simulation, or with one per line; `-` is standard input.")
    ] = "-",
    policy: Annotated[
        Path | None, typer.Option(help="A policy to use instead of the configured or shipped one.")
    ] = None,
) -> None:
    """Compute timelines from facts: what falls due when, and why. Needs no Kafka and no database."""
    sys.exit(simulate_file(file, policy))
