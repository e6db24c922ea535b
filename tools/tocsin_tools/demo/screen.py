"""The demo's output: a line for each event and mail, and at the end a table of what was due, fired and mailed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tocsin_tools.demo.check import Evidence, Json
from tocsin_tools.demo.tickets import DemoTicket

STYLES: Final[Mapping[str, str]] = {
    "warning": "yellow",
    "response_missed": "magenta",
    "answer_missed": "magenta",
    "escalation": "bold red",
    "exhausted": "bold red",
    "stand_down": "green",
}


class Screen:
    """Writes to a console, coloured on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._held: list[tuple[str, Text]] | None = None

    @contextmanager
    def sorted_by_time(self) -> Iterator[None]:
        """Hold lines back and print them at the end of the with block, in the order of their instants."""
        self._held = []
        yield
        lines, self._held = self._held, None
        for _, line in sorted(lines, key=lambda held: held[0]):
            self._print(line)

    def fact(self, at: str, title: str, text: str) -> None:
        self._line(at, title, Text(text, "cyan"))

    def mail(self, title: str, mail: Json) -> None:
        match mail["kind"]:
            case "escalation":
                what = f"tier {mail['tier']}, {_words(mail['reason'])}"
            case "warning":
                what = f"warning, {mail['clock']} clock"
            case kind:
                what = _words(kind)
        late = ", late" if mail["late"] else ""
        self._line(mail["scheduled_at"], title, Text(f"-> {mail['to']}  {what}{late}", STYLES.get(mail["kind"], "")))

    def show_results(self, results: Sequence[tuple[DemoTicket, Evidence, Sequence[str]]]) -> None:
        """The table of all tickets, their deviations from the rules, and the verdict."""
        table = Table(box=SIMPLE_HEAD, padding=(0, 1))
        table.add_column("ticket", width=30)
        for name in ("due", "fired", "mailed"):
            table.add_column(name, no_wrap=True)
        table.add_column("as the\nrules say")
        for ticket, evidence, deviations in results:
            verdict = Text("no", "bold red") if deviations else Text("yes", "bold green")
            title = Text.assemble((f"{ticket.title}, S{ticket.severity}", "bold"), "\n", (ticket.expectation, "dim"))
            table.add_row(title, _due(evidence), _fired(evidence), _mailed(evidence), verdict)
            table.add_section()
        self._console.print(table)
        for ticket, _, deviations in results:
            for text in deviations:
                self._console.print(
                    f"  {ticket.title}: {text}", style="red", highlight=False, markup=False, soft_wrap=True
                )
        if any(deviations for _, _, deviations in results):
            verdict = Text("Some results differ from the rules: see above.", "bold red")
        else:
            mails = sum(len(evidence.mails) for _, evidence, _ in results)
            text = (
                f"Everything is as the rules say: {len(results)} tickets, {mails} mails; clocks, ladders, deliveries."
            )
            verdict = Text(text, "bold green")
        self._console.print(verdict)
        self._console.print("To post a ticket of your own, start `make run`; it prints an example.", highlight=False)

    def link(self, title: str, url: str, key: str) -> None:
        """Where the board shows a ticket. The line ends with the link."""
        for line in (f"Sign in to the board with {key}", f'The story of "{title}" on the board: {url}'):
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _line(self, at: str, title: str, text: Text) -> None:
        line = Text.assemble(f"  {_time(at)}  {title:21} ", text)
        if self._held is None:
            self._print(line)
        else:
            self._held.append((at, line))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)


def _words(name: str) -> str:
    return "stand-down" if name == "stand_down" else name.replace("_", " ")


def _time(at: str | None) -> str:
    return "unknown" if at is None else datetime.fromisoformat(at).strftime("%a %H:%M")


def _due(evidence: Evidence) -> str:
    lines = []
    for clock in evidence.clocks["clocks"]:
        outcome = "no response" if clock["provisional"] and clock["outcome"] == "breached" else clock["outcome"]
        lines.append(f"{clock['clock']:10} {_time(clock['due_at'])} {outcome}")
    return "\n".join(lines)


def _fired(evidence: Evidence) -> str:
    steps = [f"tier {step['tier']} {_time(step['at'])}" for step in evidence.steps]
    if evidence.simulated["exhausted_at"] is not None:
        steps.append(f"exhausted {_time(evidence.simulated['exhausted_at'])}")
    return "\n".join(steps)


def _mailed(evidence: Evidence) -> str:
    kinds = Counter(mail["kind"] for mail in evidence.mails)
    lines = [f"{kinds[kind]} {_words(kind)}{'s' if kinds[kind] > 1 else ''}" for kind in STYLES if kinds[kind]]
    cancelled = sum(delivery["state"] == "cancelled" for delivery in evidence.deliveries)
    if cancelled:
        lines.append(f"{cancelled} cancelled unsent")
    return "\n".join(lines) or "no mail"
