"""A stack to work with: the one that runs on a state, or one that is started for as long as it is needed."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from tocsin_local.errors import LocalError, StateRefused
from tocsin_local.jars import fetch
from tocsin_local.postgres import bundle
from tocsin_local.stack import Plan, Stack
from tocsin_local.state import State

Run = Mapping[str, Any]
"""What run.json holds."""


def run_of(folder: Path) -> Run | None:
    """What the stack that runs on this state tells; None where none does. Raises LocalError while it is not ready."""
    state = State(folder)
    if not folder.exists():
        return None
    try:
        with state.held():
            return None
    except StateRefused:
        pass
    try:
        found: Run = orjson.loads(state.run_file.read_bytes())
    except FileNotFoundError:
        raise LocalError(f"the stack on {folder} is not ready yet, or is stopping: wait, and try again.") from None
    return found


@contextmanager
def started(plan: Plan, tell: Callable[[str], None]) -> Iterator[Stack]:
    """A whole stack inside the with block, stopped at its end, and by Ctrl-C or TERM. Raises LocalError."""
    stack = Stack(plan, tell)
    with stack.state.held(), _ended_by_signals():
        for name in (bundle(), "kafka"):
            fetch(name, tell)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """TERM and a closed terminal end the with block as Ctrl-C does."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
