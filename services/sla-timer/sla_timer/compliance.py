"""How well the promise was kept: outcomes per clock, and the channels' averages (RULES 6). Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from tocsin.business_time import SECOND

GROUPS: Final = ("clock", "severity", "customer", "month")


class Outcome(NamedTuple):
    """So many clocks ended so: `outcome` is met, breached or cancelled; `month` as `2026-06`."""

    clock: str
    severity: int
    customer: str
    month: str
    outcome: str
    clocks: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One item of a channel. Unanswered, it counts with its age: at its closing, or now."""

    customer: str
    channel: str
    opened_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None


def shares(outcomes: Iterable[Outcome], groups: Sequence[str]) -> list[dict[str, Any]]:
    """Counts and percent met per clock and the other `groups`, sorted by them.

    `percent_met` is met of met and breached; null where there was neither: no data is no pass.
    """
    keys = ("clock", *(group for group in GROUPS[1:] if group in groups))
    counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        counts[tuple(getattr(outcome, key) for key in keys)][outcome.outcome] += outcome.clocks
    return [
        {
            **dict(zip(keys, key, strict=True)),
            "met": count["met"],
            "breached": count["breached"],
            "cancelled": count["cancelled"],
            "percent_met": _percent(count["met"], count["met"] + count["breached"]),
        }
        for key, count in sorted(counts.items())
    ]


def averages(answers: Iterable[Answer], targets: Mapping[str, int], zone: str, now: datetime) -> list[dict[str, Any]]:
    """The mean answer time per channel and calendar month of the opening, in `zone` (RULES 6).

    `targets` in microseconds per channel; `met` only strictly below the target.
    """
    local = ZoneInfo(zone)
    waits: dict[tuple[str, str], list[float]] = defaultdict(list)
    for answer in answers:
        month = answer.opened_at.astimezone(local).strftime("%Y-%m")
        end = answer.answered_at or answer.closed_at or now
        waits[answer.channel, month].append((end - answer.opened_at).total_seconds())
    return [
        {
            "channel": channel,
            "month": month,
            "items": len(seconds),
            "mean_seconds": sum(seconds) / len(seconds),
            "target_seconds": targets[channel] / SECOND,
            "met": sum(seconds) / len(seconds) < targets[channel] / SECOND,
        }
        for (channel, month), seconds in sorted(waits.items())
    ]


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole else None
