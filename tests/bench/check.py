"""The short form of `make bench`: ratios that are cheap to measure and stable on a busy machine.

All of them are ratios of CPU times, ours to a reference in the same run, and less is better. What has no reference of
its own stands beside a fixed piece of work of pydantic and orjson. `python -m bench.check` keeps the present ratios in
kept.json (`make bench-keep`); tests/slow/test_bench_ratios.py compares with them.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from bench.alone import measure_alone
from bench.figures import Effort, Figure
from bench.noop import Ticket

KEPT: Final = Path(__file__).with_name("kept.json")
WORSE: Final = 1.3
"""A ratio so many times the kept one is a failure."""
WORK_ITEMS: Final = 20_000
RUNS: Final = 5
PER_SECOND: Final = {"ms CPU": 1e3, "us CPU": 1e6}


@dataclass(frozen=True, slots=True)
class Watched:
    """A figure of a module, measured at `scale`; `reference` is one of the figure's own, or None for the fixed work."""

    module: str
    figure: str
    scale: float
    reference: str | None = None


WATCHED: Final = (
    Watched("domain", "timelines, JSON in to JSON out", 1, "pydantic alone"),
    Watched("intake", "tickets by HTTP, CPU of the worker", 0.25, "no-op"),
    Watched("judging", "judging, CPU a ticket", 0.2),
    Watched("sweep", "due at one instant, CPU a ticket", 0.04),
    Watched("notifier", "mail, CPU a mail", 0.2, "bare loop"),
    Watched("relay", "relay, CPU an event", 0.2, "bare producer"),
)


def measured_ratios(watched: Watched, rounds: int) -> list[float]:
    """The ratio of each round."""
    before = _work_seconds()
    figures = measure_alone(watched.module, Effort(rounds, watched.scale))
    work = (before + _work_seconds()) / 2
    figure = next(figure for figure in figures if figure.name == watched.figure)
    return list(_ratios(figure, watched.reference, work))


def _ratios(figure: Figure, reference: str | None, work: float) -> Iterator[float]:
    theirs = figure.beside[reference] if reference else (PER_SECOND[figure.unit] * work,) * len(figure.rounds)
    for one, other in zip(figure.rounds, theirs, strict=True):
        yield other / one if figure.more_is_better else one / other


def _work_seconds() -> float:
    """CPU seconds of one item of the fixed work: the fastest of some runs."""
    text = orjson.dumps(
        {
            "source": "connectwise",
            "external_id": "SR-1042",
            "severity": 2,
            "summary": "Mail is down for everybody in the second building",
            "description": "Since the switch was replaced nobody can open a mailbox. " * 4,
            "affected_services": ["Email", "Calendar"],
            "contact": {"name": "Ada Lovelace", "email": "ada@acme.example"},
            "customer": {"id": "acme", "name": "Acme Corporation"},
        }
    )
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(WORK_ITEMS // RUNS):
            orjson.dumps(Ticket.model_validate_json(text).model_dump())
        taken.append(time.process_time() - began)
    return min(taken) * RUNS / WORK_ITEMS


def kept_ratios() -> Mapping[str, float]:
    found: dict[str, float] = orjson.loads(KEPT.read_bytes())
    return found


def keep_ratios(rounds: int = 3) -> None:
    """Measures all of them and writes kept.json."""
    kept = {one.figure: round(statistics.median(measured_ratios(one, rounds)), 4) for one in WATCHED}
    KEPT.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.writelines(f"{name:40} {ratio:8.3f}\n" for name, ratio in kept.items())


if __name__ == "__main__":
    keep_ratios()
