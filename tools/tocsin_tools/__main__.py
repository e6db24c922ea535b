"""`python -m tocsin_tools`: programs that verify a running system through its public interfaces."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import stamina
import typer
from rich.console import Console
from tocsin_local.errors import LocalError

from tocsin_tools.errors import ToolError

PLAIN_WIDTH = 120

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command()
def demo() -> None:
    """Play a day of a service desk on the running stack, or on a temporary one, and check it against the rules."""
    from tocsin_tools.demo.run import run_demo

    _exit_with(lambda console: run_demo(os.environ, console))


@app.command()
def replay(file: Annotated[Path, typer.Argument(help="a help-desk log, CSV")]) -> None:
    """Import a help-desk log as history and compare every ticket with the simulation."""
    from tocsin_tools.replay.run import run_replay

    _exit_with(lambda console: run_replay(file, os.environ, console))


def _exit_with(program: Callable[[Console], bool]) -> None:
    """Exit 0 if the program returns True; report an expected error in one sentence."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    stamina.instrumentation.set_on_retry_hooks([])  # the reader of the report is not interested in retries
    try:
        good = program(console)
    except (LocalError, ToolError) as error:
        typer.echo(f"tocsin: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if good else 1)


if __name__ == "__main__":
    app()
