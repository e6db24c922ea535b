"""`python -m tocsin_local`: the stack on this machine, from the command line."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from tocsin_local import control
from tocsin_local.errors import LocalError
from tocsin_local.postgres import Postgres
from tocsin_local.run import run as run_stack
from tocsin_local.run import tell
from tocsin_local.stack import plan_from, state_folder
from tocsin_local.state import State

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
Part = Annotated[str, typer.Argument(help="intake, sla-timer, escalator, notifier, kafka, postgres or smtp")]


@app.command()
def run() -> None:
    """Start everything, wait until all is ready, and stay until Ctrl-C or TERM."""
    with _in_one_sentence():
        run_stack(plan_from(os.environ))


@app.command()
def stop(part: Part) -> None:
    """Stop a part of the running stack cleanly and keep it down; returns when it is gone."""
    _send("stop", part)


@app.command()
def kill(part: Part) -> None:
    """Kill a part of the running stack with SIGKILL and keep it down; returns when it is gone."""
    _send("kill", part)


@app.command()
def start(part: Part) -> None:
    """Bring a part back that was stopped or killed; returns when it is ready."""
    _send("start", part)


@app.command()
def clean() -> None:
    """Delete the state, with PostgreSQL's data wherever it lies. Refused while a stack runs on it."""
    with _in_one_sentence():
        state = State(state_folder(os.environ))
        if state.folder.exists():
            with state.held():
                state.end_leftovers()
                Postgres(state.folder / "postgres", 0, tell).remove()
                shutil.rmtree(state.folder)


def _send(command: str, part: str) -> None:
    with _in_one_sentence():
        control.send(State(state_folder(os.environ)), command, part)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """What a person can mend is told without a trace."""
    try:
        yield
    except LocalError as error:
        tell(f"tocsin: {error}")
        raise typer.Exit(1) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        tell(f"tocsin: the disk is full ({error.filename or 'writing the state'}): make room and start again.")
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
