"""Computes the tables of docs/scaling.md from what `make bench ONLY=footprint,growth` has measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Figure, readable

PAGE: Final = Path(__file__).parents[2] / "docs/scaling.md"
SIZES: Final = (1_000, 100_000, 10_000_000)
DAYS_OPEN: Final = 2
PEAK: Final = 4
FACTS: Final = 5
MAILS: Final = 1
DAY: Final = 86_400
KIB: Final = 1024
GIB: Final = 2**30
DAYS_KEPT: Final = {"tickets": 3, "deadlines": 14, "escalations": 14, "notifications": 14}
PER_FACT: Final = ("intake", "postgres intake", "sla-timer", "postgres sla_timer", "kafka")
PER_MAIL: Final = ("escalator", "postgres escalator", "notifier", "postgres notifier", "postgres")
STORED: Final = ("intake", "sla_timer", "escalator", "notifier")


@dataclass(frozen=True, slots=True)
class Load:
    """What arrives in a day and in a second of the busiest hour with so many open tickets."""

    open: int

    @property
    def tickets_a_day(self) -> float:
        return self.open / DAYS_OPEN

    @property
    def peak(self) -> float:
        return self.tickets_a_day * PEAK / DAY


def scaling_lines(figures: Mapping[str, Figure]) -> Iterator[str]:
    """Two tables: what a ticket uses, and what that makes at each size."""
    used = {name: figure.value for name, figure in figures.items()}
    yield from _measured_table(used)
    yield ""
    loads = [Load(size) for size in SIZES]
    yield f"| | {' | '.join(f'{size:,} open' for size in SIZES)} |"
    yield f"|---{'|---' * len(SIZES)}|"
    for title, values in _computed(used, loads):
        yield f"| {title} | {' | '.join(values)} |"


def _measured_table(used: Mapping[str, float]) -> Iterator[str]:
    yield "| part | CPU a ticket | stored a ticket | connections | memory |"
    yield "|---|---|---|---|---|"
    for service in ("intake", "sla-timer", "escalator", "notifier"):
        database = service.replace("-", "_")
        cpu = used[f"CPU a ticket, {service}"], used[f"CPU a ticket, postgres {database}"]
        yield (
            f"| {service} | {readable(cpu[0])} ms, PostgreSQL {readable(cpu[1])} ms "
            f"| {readable(used[f'stored for a ticket, {database}'])} KiB "
            f"| {readable(used[f'connections of {service}'])} | {readable(used[f'memory of {service}'])} MiB |"
        )
    yield f"| PostgreSQL's own processes | {readable(used['CPU a ticket, postgres'])} ms | | | |"
    yield f"| Kafka | {readable(used['CPU a ticket, kafka'])} ms | {readable(_topic_kib(used))} KiB | | |"


def _computed(used: Mapping[str, float], loads: Sequence[Load]) -> Iterator[tuple[str, list[str]]]:
    stored = sum(used[f"stored for a ticket, {database}"] for database in STORED) * KIB
    wal = used["write-ahead log of a ticket"] * KIB
    yield "tickets a day", [f"{load.tickets_a_day:,.0f}" for load in loads]
    yield "tickets a second, busiest hour", [_short(load.peak) for load in loads]
    yield "facts a second, busiest hour", [_short(load.peak * FACTS) for load in loads]
    yield "mails a second, busiest hour", [_short(load.peak * MAILS) for load in loads]
    for service in ("intake", "sla-timer", "escalator", "notifier", "kafka"):
        yield f"cores of {service}", [_short(load.peak * _seconds(used, service)) for load in loads]
    servers = [name for name in (*PER_FACT, *PER_MAIL) if name.startswith("postgres")]
    yield (
        "cores of PostgreSQL",
        [_short(load.peak * sum(_seconds(used, name) for name in servers)) for load in loads],
    )
    yield "write-ahead log, MiB a second", [_short(load.peak * FACTS * wal / 2**20) for load in loads]
    yield "PostgreSQL, GiB of open tickets", [_short(load.open * stored / GIB) for load in loads]
    yield "PostgreSQL, GiB more in a year", [_short(load.tickets_a_day * 365 * stored / GIB) for load in loads]
    yield "Kafka, GiB kept", [_short(load.tickets_a_day * _kept_bytes(used) / GIB) for load in loads]


def _short(value: float) -> str:
    return "< 0.01" if value < 0.01 else readable(value)


def _seconds(used: Mapping[str, float], part: str) -> float:
    """CPU seconds for all facts or mails of one ticket."""
    return used[f"CPU a ticket, {part}"] / 1000 * (FACTS if part in PER_FACT else MAILS)


def _topic_kib(used: Mapping[str, float]) -> float:
    return sum(used[f"topic bytes of a ticket, tocsin.{topic}.v1"] for topic in DAYS_KEPT)


def _kept_bytes(used: Mapping[str, float]) -> float:
    return sum(
        used[f"topic bytes of a ticket, tocsin.{topic}.v1"] * KIB * days * (FACTS if topic == "tickets" else 1)
        for topic, days in DAYS_KEPT.items()
    )
