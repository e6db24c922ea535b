"""Runs a stack in the foreground, until Ctrl-C or TERM."""

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from tocsin_local.postgres import Postgres
from tocsin_local.services import BOARD, PIPELINE
from tocsin_local.stack import Stack, StackOptions
from tocsin_local.state import StateFolder

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXAMPLE_TICKET = (
    '{"source": "curl", "external_id": "1", "severity": 1, "summary": "Mail is down", "affected_services": ["Email"], '
    '"contact": {"name": "Ada", "email": "ada@example.org"}, "customer": {"id": "acme", "name": "Acme"}}'
)

_HINTS = dict.fromkeys(PIPELINE, "/docs") | {BOARD: "/  (sign in with the API key)"}
"""What follows the address of a part."""


def run(options: StackOptions) -> None:
    """Start the stack, print where to look, and stay until a signal. Raises LocalError if it does not start."""
    began = time.monotonic()
    with suppress(KeyboardInterrupt), running_stack(options, print_progress) as stack:
        print_progress(_where_to_look(stack, time.monotonic() - began))
        threading.Event().wait()


@contextmanager
def running_stack(options: StackOptions, report: Callable[[str], None]) -> Iterator[Stack]:
    """A stack that is ready inside the with block and ends cleanly after it.

    The first Ctrl-C, TERM or closed terminal raises KeyboardInterrupt, later ones are ignored. Raises LocalError.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        ignore_signals()
        raise KeyboardInterrupt

    def ignore_signals() -> None:
        for number in SIGNALS:
            signal.signal(number, lambda _number, _frame: None)  # not SIG_IGN, which new processes would inherit

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        with Stack(options, report).running() as stack:
            try:
                yield stack
            finally:
                ignore_signals()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def remove_state(folder: Path) -> None:
    """Delete a state, with PostgreSQL's data wherever it is. Raises StateRefusedError while a stack runs on it."""
    state = StateFolder(folder)
    if folder.exists():
        with state.locked():
            state.end_leftovers()
            Postgres(folder / "postgres", 0, print_progress).remove()
            shutil.rmtree(folder)


def print_progress(line: str) -> None:
    """Print a line of progress on standard error, at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _where_to_look(stack: Stack, seconds: float) -> str:
    run = stack.run
    urls, clock = run["urls"], run["clock"]
    lines = [f"ready after {seconds:.0f} s.", ""]
    lines += [f"  {name:12} {url}{_HINTS.get(name, '')}" for name, url in urls.items()]
    lines += ["", f"  business time began at {clock['epoch']} and runs at {clock['rate']:g} times real time"]
    lines += [f"  API key      {run['api_key']}", f"  more         {stack.state.run_file}, logs in {stack.state.logs}"]
    lines += ["", "to post a ticket:"]
    lines += [f"  curl -X POST {urls['intake']}/v1/tickets -H 'Authorization: Bearer {run['api_key']}' \\"]
    lines += ["    -H 'Content-Type: application/json' -d '" + EXAMPLE_TICKET + "'"]
    return "\n".join([*lines, "", "Ctrl-C stops everything."])
