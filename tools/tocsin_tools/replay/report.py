"""What a replay says in the end, for people: tables on a terminal, the same in plain text elsewhere."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from tocsin_local.replay.case import Remark
from tocsin_local.replay.log import Log
from tocsin_local.replay.posting import Taken

CLOCKS: Final = ("response", "resolution", "answer")
MOST_LINES: Final = 50


@dataclass(frozen=True)
class Outcome:
    """What a replay found out. `seconds`: from the first post until quiet; `posting_seconds`: to the last answer."""

    log: Log
    taken: Taken
    seconds: float
    posting_seconds: float
    compliance: Sequence[Mapping[str, Any]]
    differing: Sequence[Remark]
    miscounted: Sequence[str]
    deliveries: tuple[int, int]
    mails_for_history: int

    @property
    def good(self) -> bool:
        """Every row was understood and taken, every clock is as the rules say, and nobody got mail."""
        wrong = self.log.bad, self.taken.refused, self.differing, self.miscounted
        return not any(wrong) and not self.mails_for_history


def show(console: Console, outcome: Outcome) -> None:
    log, taken = outcome.log, outcome.taken
    _remarks(console, log.notes, "understood so")
    _remarks(console, log.bad, "bad rows, left out")
    _remarks(console, taken.refused, "refused by intake")
    _remarks(console, outcome.differing, "not as the rules say")
    for line in outcome.miscounted:
        console.print(f"  {line}", style="red", highlight=False)
    console.print(_compliance(outcome.compliance))
    known = sum(posted.known for posted in taken.posted)
    facts = sum(len(posted.ticket.facts) for posted in taken.posted)
    rate = log.rows / outcome.seconds
    before, after = outcome.deliveries
    rows = [
        ("log", f"{log.rows:,} events of {len(log.tickets):,} tickets: {len(log.bad)} bad, {len(log.notes)} noted"),
        (
            "taken in",
            f"{len(taken.posted) - known:,} tickets new (201), {known:,} known already (200), "
            f"{len(taken.refused)} refused; {facts:,} facts; put off and posted again {taken.put_off} times",
        ),
        (
            "pace",
            f"{rate:,.0f} events a second: {outcome.seconds:.1f} s from the first post until all was quiet "
            f"({outcome.posting_seconds:.1f} s of it posting)",
        ),
        (
            "compared",
            f"{len(taken.posted):,} tickets with the pure function: {len({r.line for r in outcome.differing})} differ; "
            f"compliance with its outcomes: {len(outcome.miscounted)} differ",
        ),
        ("mails", f"{outcome.mails_for_history} for history ({before:,} deliveries before, {after:,} after)"),
    ]
    if known and known == len(taken.posted):
        rows.append(("again", "nothing was new: this log had been replayed before, and is here once"))
    facts_table = Table.grid(padding=(0, 2))
    for name, text in rows:
        facts_table.add_row(f"[bold]{name}[/]", text)
    console.print(facts_table)
    verdict = "[green]Every ticket is as the rules say.[/]" if outcome.good else "[red]Not all is well: see above.[/]"
    console.print(f"\n{verdict}")


def _remarks(console: Console, remarks: Sequence[Remark], title: str) -> None:
    """In the order of the file; of very many the first."""
    if not remarks:
        return
    console.print(f"{len(remarks):,} {title}:", style="bold", highlight=False)
    for remark in sorted(remarks, key=lambda remark: remark.line)[:MOST_LINES]:
        console.print(f"  line {remark.line}: {remark.text}", highlight=False, markup=False, soft_wrap=True)
    if len(remarks) > MOST_LINES:
        console.print(f"  and {len(remarks) - MOST_LINES:,} more")


def _compliance(items: Sequence[Mapping[str, Any]]) -> Table:
    """A row a month and one for all of them, a column a clock and severity: percent met, of how many."""
    columns = sorted({(item["clock"], item["severity"]) for item in items}, key=lambda c: (CLOCKS.index(c[0]), c[1]))
    table = Table(title="Compliance: percent met, of how many clocks", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("month")
    for clock, severity in columns:
        table.add_column(f"{clock}\nS{severity}", justify="right", no_wrap=True)
    months = sorted({item["month"] for item in items})
    for month in months:
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
