"""Writes what was measured into docs/performance.md, between its two marks, and the charts beside it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import scaling
from bench.figures import Figure, readable
from bench.plots import bar_chart, line_chart
from bench.results import Result
from bench.rows import ROWS, Row

PAGE: Final = Path(__file__).parents[2] / "docs/performance.md"
CHARTS: Final = PAGE.with_suffix("")
BEGIN: Final = "<!-- measured: written by make bench -->"
END: Final = "<!-- end of what was measured -->"
SIZES: Final = ("1,000", "10,000", "100,000", "1,000,000")


def write_page(results: Mapping[str, Result]) -> None:
    """Replaces all charts, and the measured part of the page and of docs/scaling.md."""
    CHARTS.mkdir(exist_ok=True)
    for name, chart in _charts(results):
        (CHARTS / f"{name}.svg").write_text(chart)
    _replace(PAGE, _lines(results))
    if "footprint" in results:
        figures = {figure.name: figure for figure in results["footprint"].figures}
        _replace(scaling.PAGE, scaling.scaling_lines(figures))


def _replace(page: Path, lines: Iterator[str]) -> None:
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    measured = "\n".join(lines)
    page.write_text(f"{head}{BEGIN}\n\n{measured}\n\n{END}{tail}")


def _lines(results: Mapping[str, Result]) -> Iterator[str]:
    machines = {tuple(result.machine.items()) for result in results.values()}
    for machine in sorted(machines):
        yield f"Machine: {', '.join(f'{name} {value}' for name, value in machine)}."
    yield ""
    for row in ROWS:
        if row.name in results:
            yield from _section(row, results[row.name])


def _section(row: Row, result: Result) -> Iterator[str]:
    yield f"### {row.title}"
    yield ""
    yield f"`make bench ONLY={row.name}`, {result.measured_on}, {result.rounds} rounds."
    yield ""
    yield "| | before | now | spread | beside | goal |"
    yield "|---|---|---|---|---|---|"
    for figure in result.figures:
        yield f"| {' | '.join(_cells(row, figure))} |"
    yield ""
    for chart in row.charts:
        if (CHARTS / f"{chart}.svg").exists():
            yield f"![{row.title}: {chart}](performance/{chart}.svg)"
            yield ""
    for note in dict.fromkeys(f"{figure.name}: {figure.note}" for figure in result.figures if figure.note):
        yield f"- {note}."
    yield ""


def _cells(row: Row, figure: Figure) -> Iterator[str]:
    least, most = figure.spread
    yield figure.name
    yield row.before.get(figure.name, "")
    yield f"**{readable(figure.value)}** {figure.unit}"
    yield "" if len(figure.rounds) == 1 else f"{readable(least)} to {readable(most)}"
    yield "<br>".join(
        f"{name}: {readable(figure.reference(name))}, {readable(figure.ratio(name))} of it" for name in figure.beside
    )
    yield "<br>".join(
        f"{goal.text(figure.unit)}: {VERDICTS[goal.is_met(figure)]}" for goal in row.goals.get(figure.name, ())
    )


VERDICTS: Final = {True: "met", False: "**missed**", None: "not measured"}


def _charts(results: Mapping[str, Result]) -> Iterator[tuple[str, str]]:
    figures = {figure.name: figure for result in results.values() for figure in result.figures}
    if armed := figures.get("arming, instants"):
        yield "arming", bar_chart("Deadlines or jobs armed a second", "1/s", _compared(armed), logarithmic=True)
    if late := figures.get("lateness, p99"):
        title = "Lateness at 500 a second, 99th percentile"
        yield "lateness", bar_chart(title, "ms", _compared(late), logarithmic=True)
    if posted := figures.get("tickets by HTTP"):
        yield "http", bar_chart("Tickets a second by HTTP", "1/s", _compared(posted))
    if burst := figures.get("due at one instant"):
        yield "burst", bar_chart("50,000 due at one instant", "s", _compared(burst), logarithmic=True)
    costs = [figures.get(f"CPU a ticket, {size} open") for size in SIZES]
    known = [cost.value for cost in costs if cost is not None]
    if len(known) == len(SIZES):
        yield "growth", line_chart("CPU a ticket by open tickets", "ms CPU", SIZES, {"CPU": known})
    if lines := dict(_replica_lines(figures)):
        labels = ("1 replica", "2 replicas", "3 replicas")
        yield "replicas", line_chart("Throughput by replicas, one replica is 1", "times", labels, lines)


def _compared(figure: Figure) -> dict[str, float]:
    return {"tocsin": figure.value} | {name: figure.reference(name) for name in figure.beside}


def _replica_lines(figures: Mapping[str, Figure]) -> Iterator[tuple[str, Sequence[float]]]:
    for service in ("intake", "sla-timer", "escalator", "notifier"):
        names = [f"{service}, {count} {'replica' if count == 1 else 'replicas'}" for count in (1, 2, 3)]
        if all(name in figures for name in names):
            yield service, [figures[name].value / figures[names[0]].value for name in names]
