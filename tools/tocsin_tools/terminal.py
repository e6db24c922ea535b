"""What a person sees: colours and moving bars on a terminal, plain lines everywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_WIDTH: Final = 120


def console(*, stderr: bool = False) -> Console:
    """Standard output or error; lines that go to a file are not folded at 80 columns."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=PLAIN_WIDTH)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; call what it gives with how much more is done."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        screen.print(f"{what} ...", highlight=False)
        yield lambda _done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
