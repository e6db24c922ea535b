"""`python -m tocsin_local`: runs and controls the embedded stack."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from tocsin_local.control import send_command
from tocsin_local.errors import LocalError
from tocsin_local.layout import state_folder

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
Part = Annotated[
    str,
    typer.Argument(
        help="intake, sla-timer, escalator, notifier, board, kafka, postgres, smtp, prometheus or alertmanager"
    ),
]


@app.command()
def run() -> None:
    """Start everything, wait until it is ready, and stay until Ctrl-C or TERM."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while nothing runs that must be stopped, Ctrl-C just ends us
    from tocsin_local.run import run as run_stack  # slow to import, and the other commands do not need it
    from tocsin_local.stack import options_from

    with _errors_in_one_sentence():
        run_stack(replace(options_from(os.environ), monitoring=True))


@app.command()
def stop(part: Part) -> None:
    """Stop a part of the running stack cleanly and keep it down; return when it is gone."""
    _send("stop", part)


@app.command()
def kill(part: Part) -> None:
    """Kill a part of the running stack with SIGKILL and keep it down; return when it is gone."""
    _send("kill", part)


@app.command()
def start(part: Part) -> None:
    """Start a part that was stopped or killed; return when it is ready."""
    _send("start", part)


@app.command()
def clean() -> None:
    """Delete the state, with PostgreSQL's data wherever it is. Refused while a stack runs on it."""
    from tocsin_local.run import remove_state

    with _errors_in_one_sentence():
        remove_state(state_folder(os.environ))


def _send(command: str, part: str) -> None:
    with _errors_in_one_sentence():
        send_command(state_folder(os.environ), command=command, part=part)


@contextmanager
def _errors_in_one_sentence() -> Iterator[None]:
    """Report an error that the user can fix in one sentence, without a traceback."""
    try:
        yield
    except LocalError as error:
        typer.echo(f"tocsin: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or "writing the state"
        typer.echo(f"tocsin: the disk is full ({where}): free some space and start again.", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
