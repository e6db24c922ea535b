"""`python -m tocsin_local`: the stack on this machine, from the command line."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tocsin_local.command import send
from tocsin_local.errors import LocalError
from tocsin_local.paths import state_folder

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
Part = Annotated[str, typer.Argument(help="intake, sla-timer, escalator, notifier, kafka, postgres or smtp")]


@app.command()
def run() -> None:
    """Start everything, wait until all is ready, and stay until Ctrl-C or TERM."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until something runs that must be stopped, Ctrl-C just ends us
    from tocsin_local.run import run_from  # here, since the other commands need none of what it imports

    with _in_one_sentence():
        run_from(os.environ)


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
def demo() -> None:
    """Play a day in the life against the running stack, or one of its own, and check it against the rules."""
    from tocsin_local.demo.run import demo_from

    with _in_one_sentence():
        if not demo_from(os.environ):
            raise typer.Exit(1)


@app.command()
def replay(file: Annotated[Path, typer.Argument(help="a help-desk log, CSV")]) -> None:
    """Take a real help-desk log through the pipeline as history; compare every ticket with the pure function."""
    from tocsin_local.replay.run import replay_from

    with _in_one_sentence():
        if not replay_from(file, os.environ):
            raise typer.Exit(1)


@app.command()
def clean() -> None:
    """Delete the state, with PostgreSQL's data wherever it lies. Refused while a stack runs on it."""
    from tocsin_local.run import remove

    with _in_one_sentence():
        remove(state_folder(os.environ))


def _send(command: str, part: str) -> None:
    with _in_one_sentence():
        send(state_folder(os.environ), command, part)


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """What a person can mend is told without a trace."""
    try:
        yield
    except LocalError as error:
        typer.echo(f"tocsin: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or "writing the state"
        typer.echo(f"tocsin: the disk is full ({where}): make room and start again.", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
