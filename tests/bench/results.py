"""The last results of each row, kept as JSON beside the page that shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import orjson

from bench.figures import Effort, Figure

FILE: Final = Path(__file__).parents[2] / "docs/performance/figures.json"


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one row, and how they were measured."""

    figures: Sequence[Figure]
    measured_on: str
    rounds: int
    machine: Mapping[str, str]

    @classmethod
    def of(cls, figures: Sequence[Figure], effort: Effort, machine: Mapping[str, str]) -> "Result":
        return cls(figures, f"{date.today():%Y-%m-%d}", effort.rounds, machine)  # noqa: DTZ011


def load_results() -> dict[str, Result]:
    """By name of the row; empty before the first run."""
    if not FILE.exists():
        return {}
    return {name: _result(found) for name, found in orjson.loads(FILE.read_bytes()).items()}


def save_results(results: Mapping[str, Result]) -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(orjson.dumps(dict(results), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _result(found: dict[str, Any]) -> Result:
    figures = [
        Figure(
            **one
            | {
                "rounds": tuple(one["rounds"]),
                "beside": {name: tuple(rounds) for name, rounds in one["beside"].items()},
            }
        )
        for one in found["figures"]
    ]
    return Result(figures, found["measured_on"], found["rounds"], found["machine"])
