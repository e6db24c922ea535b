"""The report of a replay: tables on a terminal, plain text elsewhere."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tocsin_tools.replay.help_desk_log import HelpDeskLog
from tocsin_tools.replay.history_import import ImportResult
from tocsin_tools.replay.logged_ticket import Remark

CLOCKS: Final = ("response", "resolution", "answer")
MAX_LINES: Final = 50


@dataclass(frozen=True)
class ReplayResult:
    """What a replay found. `seconds` is from the first post until idle, `import_seconds` until the last response."""

    log: HelpDeskLog
    imported: ImportResult
    seconds: float
    import_seconds: float
    compliance: Sequence[Mapping[str, Any]]
    differing: Sequence[Remark]
    miscounted: Sequence[str]
    historic_mails: int

    @property
    def is_good(self) -> bool:
        """Every row was read and imported, every clock is as the rules say, and history mailed nobody."""
        wrong = self.log.bad, self.imported.rejected, self.differing, self.miscounted
        return not any(wrong) and not self.historic_mails


def show(console: Console, result: ReplayResult) -> None:
    """Print the report."""
    log, imported = result.log, result.imported
    _show_remarks(console, log.notes, "rows with a note")
    _show_remarks(console, log.bad, "bad rows, left out")
    _show_remarks(console, imported.rejected, "tickets rejected by intake")
    _show_remarks(console, result.differing, "differences from the rules")
    for line in result.miscounted:
        console.print(f"  {line}", style="red", highlight=False)
    console.print(_compliance_table(result.compliance))
    summary = Table.grid(padding=(0, 2))
    for name, text in _summary(result):
        summary.add_row(f"[bold]{name}[/]", text)
    console.print(summary)
    verdict = "[green]Every ticket is as the rules say.[/]"
    console.print(f"\n{verdict if result.is_good else '[red]Some results differ from the rules: see above.[/]'}")


def _summary(result: ReplayResult) -> list[tuple[str, str]]:
    log, imported = result.log, result.imported
    tickets = imported.tickets
    known = sum(ticket.known for ticket in tickets)
    differing = len({remark.line for remark in result.differing})
    facts = sum(len(ticket.ticket.facts) for ticket in tickets)
    rows = [
        ("log", f"{log.rows:,} events of {len(log.tickets):,} tickets: {len(log.bad)} bad, {len(log.notes)} noted"),
        (
            "import",
            f"{len(tickets) - known:,} tickets new (201), {known:,} known already (200), "
            f"{len(imported.rejected)} rejected; {facts:,} facts",
        ),
        (
            "pace",
            f"{log.rows / result.seconds:,.0f} events per second: {result.seconds:.1f} s from the first post until the "
            f"pipeline was idle ({result.import_seconds:.1f} s of it importing)",
        ),
        (
            "comparison",
            f"{len(tickets):,} tickets with the simulation: {differing} differ; "
            f"compliance with the simulated outcomes: {len(result.miscounted)} differ",
        ),
        ("mails", f"{result.historic_mails} for history"),
    ]
    if known and known == len(tickets):
        rows.append(("again", "nothing was new: this log has been replayed before, and is stored once"))
    return rows


def _show_remarks(console: Console, remarks: Sequence[Remark], title: str) -> None:
    """Print remarks in the order of the file, at most 50."""
    if not remarks:
        return
    console.print(f"{len(remarks):,} {title}:", style="bold", highlight=False)
    for remark in sorted(remarks, key=lambda remark: remark.line)[:MAX_LINES]:
        console.print(f"  line {remark.line}: {remark.text}", highlight=False, markup=False, soft_wrap=True)
    if len(remarks) > MAX_LINES:
        console.print(f"  and {len(remarks) - MAX_LINES:,} more")


def _compliance_table(items: Sequence[Mapping[str, Any]]) -> Table:
    """A row per month and one for all, a column per clock and severity: percent met, and of how many."""
    columns = sorted({(item["clock"], item["severity"]) for item in items}, key=lambda c: (CLOCKS.index(c[0]), c[1]))
    table = Table(title="Compliance: percent met, of how many clocks", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("month")
    for clock, severity in columns:
        table.add_column(f"{clock}\nS{severity}", justify="right", no_wrap=True)
    for month in sorted({item["month"] for item in items}):
        table.add_row(month, *_shares([item for item in items if item["month"] == month], columns))
    table.add_section()
    table.add_row("all", *_shares(items, columns), style="bold")
    return table


def _shares(items: Iterable[Mapping[str, Any]], columns: Iterable[tuple[str, int]]) -> list[str]:
    met: Counter[tuple[str, int]] = Counter()
    ended: Counter[tuple[str, int]] = Counter()
    for item in items:
        key = item["clock"], item["severity"]
        met[key] += item["met"]
        ended[key] += item["met"] + item["breached"]
    return [f"{100 * met[key] / ended[key]:.1f}% {ended[key]:,}" if ended[key] else "" for key in columns]
