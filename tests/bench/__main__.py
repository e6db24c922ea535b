"""`make bench`: measures every row beside its references and writes docs/performance.md.

With `--quick` the sizes are a twentieth and nothing is written. A row that fails is reported, the others go on, and the
exit status is 1.
"""

import sys
import time
import traceback
from typing import Annotated

import typer

from bench.alone import measure_alone
from bench.check import keep_ratios
from bench.document import write_page
from bench.figures import FULL, QUICK, Effort, Figure, show
from bench.machine import describe_machine
from bench.results import Result, load_results, save_results
from bench.rows import ROWS, Row


def main(
    only: Annotated[str, typer.Option(help="names of rows, separated by commas")] = "",
    rounds: Annotated[int | None, typer.Option()] = None,
    quick: Annotated[bool, typer.Option(help="small sizes, one round, writes nothing")] = False,
) -> None:
    effort = QUICK if quick else FULL
    effort = Effort(rounds or effort.rounds, effort.scale)
    results = load_results()
    failed = []
    for row in _chosen(only):
        figures = _measured(row, effort)
        if figures is None:
            failed.append(row.name)
        elif not quick:
            results[row.name] = Result.of(figures, effort, describe_machine())
            save_results(results)
            write_page(results)
    if not (only or quick):
        keep_ratios()
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    sys.exit(1 if failed else 0)


def _chosen(only: str) -> list[Row]:
    wanted = {name.strip() for name in only.split(",") if name.strip()}
    if unknown := wanted - {row.name for row in ROWS}:
        raise typer.BadParameter(f"no row {', '.join(sorted(unknown))}; the rows are {', '.join(r.name for r in ROWS)}")
    return [row for row in ROWS if not wanted or row.name in wanted]


def _measured(row: Row, effort: Effort) -> list[Figure] | None:
    """The figures, or None after an error, which is printed."""
    sys.stdout.write(f"\n{row.title} ({row.name})\n")
    began = time.monotonic()
    try:
        figures = measure_alone(row.module, effort)
    except Exception:  # the rows after this one are still measured
        traceback.print_exc()
        return None
    show(figures)
    sys.stdout.write(f"took {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    return figures


if __name__ == "__main__":
    typer.run(main)
