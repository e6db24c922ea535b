"""How well the promise was kept: outcomes per clock, and the channels' averages (RULES 6). Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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

    `targets` in microseconds per channel; `met` only strictly below the target. A channel without any item has one
    entry that says so: its month, mean and `met` are null.
    """
    local = ZoneInfo(zone)
    waits: dict[tuple[str, str], timedelta] = defaultdict(timedelta)
    items: Counter[tuple[str, str]] = Counter()
    for answer in answers:
        key = answer.channel, answer.opened_at.astimezone(local).strftime("%Y-%m")
        waits[key] += (answer.answered_at or answer.closed_at or now) - answer.opened_at
        items[key] += 1
    found = [
        _average(channel, month, waits[channel, month], count, targets[channel])
        for (channel, month), count in items.items()
    ]
    silent = targets.keys() - {channel for channel, _ in items}
    found += [_average(channel, None, timedelta(0), 0, targets[channel]) for channel in silent]
    return sorted(found, key=lambda average: (average["channel"], average["month"] or ""))


def _average(channel: str, month: str | None, waits: timedelta, items: int, target: int) -> dict[str, Any]:
    return {
        "channel": channel,
        "month": month,
        "items": items,
        "mean_seconds": waits.total_seconds() / items if items else None,
        "target_seconds": target / SECOND,
        # Whole microseconds: a mean that only rounding brings below its target is not below it.
        "met": waits < items * timedelta(microseconds=target) if items else None,
    }


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole else None
