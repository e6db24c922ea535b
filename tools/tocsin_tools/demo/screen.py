"""How the demo's day looks: a line for all that happens, and in the end a table of what was due, fired and mailed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tocsin_local.demo.checking import Findings
from tocsin_local.demo.stories import Story

STYLES: Final[Mapping[str, str]] = {
    "warning": "yellow",
    "response_missed": "magenta",
    "answer_missed": "magenta",
    "escalation": "bold red",
    "stand_down": "green",
}
KINDS: Final[Mapping[str, str]] = {
    "warning": "warning",
    "response_missed": "response missed",
    "answer_missed": "answer missed",
    "escalation": "escalation",
    "stand_down": "stand-down",
}


class Screen:
    """Standard output, coloured on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._held: list[tuple[str, Text]] | None = None

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """What is shown inside the with block comes at its end, in the order in which it happened."""
        self._held = []
        yield
        lines, self._held = self._held, None
        for _, line in sorted(lines, key=lambda held: held[0]):
            self._print(line)

    def says(self, *lines: str) -> None:
        for line in lines:
            self._console.print(line, highlight=False, markup=False)

    def fact(self, at: str, title: str, text: str) -> None:
        self._line(at, title, Text(text, "cyan"))

    def mail(self, title: str, mail: Mapping[str, Any]) -> None:
        what = KINDS[mail["kind"]]
        if mail["kind"] == "escalation":
            what = f"tier {mail['tier']}, {mail['reason'].replace('_', ' ')}"
        elif mail["kind"] == "warning":
            what = f"warning, {mail['clock']} clock"
        late = ", late" if mail["late"] else ""
        self._line(mail["scheduled_at"], title, Text(f"-> {mail['to']}  {what}{late}", STYLES[mail["kind"]]))

    def table(self, rows: Sequence[tuple[Story, Findings, Sequence[str]]]) -> None:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1))
        table.add_column("ticket", width=30)
        table.add_column("due", no_wrap=True)
        table.add_column("fired", no_wrap=True)
        table.add_column("mailed", no_wrap=True)
        table.add_column("as the\nrules say")
        for story, found, wrong in rows:
            verdict = Text("no", "bold red") if wrong else Text("yes", "bold green")
            title = Text.assemble((f"{story.title}, S{story.severity}", "bold"), "\n", (story.moral, "dim"))
            table.add_row(title, _due(found), _fired(found), _mailed(found), verdict)
            table.add_section()
        self._console.print(table)

    def wrong(self, title: str, texts: Sequence[str]) -> None:
        for text in texts:
            self._console.print(f"  {title}: {text}", style="red", highlight=False, markup=False, soft_wrap=True)

    def verdict(self, text: str, *, good: bool) -> None:
        self._console.print(text, style="bold green" if good else "bold red", highlight=False)

    def _line(self, at: str, title: str, text: Text) -> None:
        line = Text.assemble(f"  {_moment(at)}  {title:21} ", text)
        if self._held is None:
            self._print(line)
        else:
            self._held.append((at, line))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)


def _moment(at: str | None) -> str:
    return "unknown" if at is None else datetime.fromisoformat(at).strftime("%a %H:%M")


def _due(found: Findings) -> str:
    lines = []
    for clock in found.clocks["clocks"]:
        outcome = "no response" if clock["provisional"] and clock["outcome"] == "breached" else clock["outcome"]
        lines.append(f"{clock['clock']:10} {_moment(clock['due_at'])} {outcome}")
    return "\n".join(lines)


def _fired(found: Findings) -> str:
    """The ladder's steps: with their tiers, one line for all of a day."""
    steps = [f"tier {step['tier']} {_moment(step['at'])}" for step in found.steps]
    if found.pure["exhausted_at"] is not None:
        steps.append(f"exhausted {_moment(found.pure['exhausted_at'])}")
    return "\n".join(steps)


def _mailed(found: Findings) -> str:
    kinds = Counter(mail["kind"] for mail in found.mails)
    lines = [f"{kinds[kind]} {KINDS[kind]}{'s' if kinds[kind] > 1 else ''}" for kind in KINDS if kinds[kind]]
    cancelled = sum(delivery["state"] == "cancelled" for delivery in found.deliveries)
    if cancelled:
        lines.append(f"{cancelled} never sent: over")
    return "\n".join(lines) or "nobody"
