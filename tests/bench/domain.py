"""How fast timelines are computed.

Required: 3,000 stories of 10 facts a second, and 500 facts in 20 ms. Machines differ, and other processes may use this
one. So CPU time is measured, beside the time in which pydantic validates the same stories: a machine that validates
30,000 stories a second just meets the requirement at a tenth of that.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import orjson
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.simulate import SimulationRequest, simulate
from support.stories import shipped_policy
from tocsin.business_time import micros

from bench.figures import FULL, Effort, Figure, show

STORIES: Final = 1000
RUNS: Final = 3
PYDANTIC: Final = "pydantic alone"
MONDAY: Final = datetime(2026, 6, 8, 13, tzinfo=UTC)
# Several stories of ten facts; `severity_changed` goes to the next of 1 to 4.
PLOTS: Final = (
    "opened responded paused resumed severity_changed paused resumed resolved reopened resolved",
    "opened severity_changed responded acknowledged paused resumed escalated acknowledged severity_changed resolved",
    "opened paused resumed responded severity_changed cancelled reopened paused resumed resolved",
    "opened responded resolved reopened escalated paused resumed severity_changed acknowledged resolved",
)
EVENTFUL: Final = (
    "responded paused resumed severity_changed acknowledged escalated paused resumed resolved reopened "
    "paused resumed acknowledged severity_changed paused cancelled reopened paused resumed escalated"
)


def measure(effort: Effort) -> list[Figure]:
    texts = [orjson.dumps(one) for one in stories(Random(1))]
    long_text = orjson.dumps(long_story())
    policies = [shipped_policy()]
    history = PolicyHistory.of(policies, None)
    requests = [SimulationRequest.model_validate_json(text) for text in texts]
    logs = [(request.fact_log(history), micros(request.until)) for request in requests]

    def validated() -> object:
        return [SimulationRequest.model_validate_json(text) for text in texts]

    def evaluated() -> object:
        return [evaluate(log, history, until) for log, until in logs]

    def simulated() -> object:
        return [simulate_json(text, policies) for text in texts]

    def long_simulated() -> object:
        return simulate_json(long_text, policies)

    works = (simulated, evaluated, validated, long_simulated)
    rounds = [[cpu_seconds(work) for work in works] for _ in range(effort.rounds)]
    whole, timeline, validation, long = (tuple(values) for values in zip(*rounds, strict=True))
    reference = {PYDANTIC: tuple(STORIES / one for one in validation)}
    return [
        Figure(
            "timelines, JSON in to JSON out",
            "1/s",
            tuple(STORIES / one for one in whole),
            reference,
            more_is_better=True,
            note="stories of 10 facts, severities 1 to 4 alike, by CPU time of one process",
        ),
        Figure("timelines alone", "1/s", tuple(STORIES / one for one in timeline), reference, more_is_better=True),
        Figure(
            "a ticket with 500 facts",
            "ms CPU",
            tuple(1000 * one for one in long),
            {f"{PYDANTIC}, 10 facts": tuple(1000 * one / STORIES for one in validation)},
        ),
    ]


def simulate_json(text: bytes, policies: Sequence[Any]) -> bytes:
    return orjson.dumps(simulate(SimulationRequest.model_validate_json(text), policies))


def stories(random: Random) -> list[dict[str, Any]]:
    """Four severities and four plots in equal parts, with hours or days between the facts."""
    return [story(random, 1 + number % 4, PLOTS[number // 4 % 4].split()) for number in range(STORIES)]


def story(random: Random, severity: int, plot: Sequence[str]) -> dict[str, Any]:
    at = MONDAY + timedelta(minutes=random.randrange(0, 60 * 24 * 200))
    facts = []
    for kind in plot:
        fact: dict[str, Any] = {"type": kind, "occurred_at": at.isoformat()}
        if kind in ("opened", "severity_changed"):
            fact["severity"] = severity
            severity = severity % 4 + 1
        facts.append(fact)
        at += timedelta(minutes=random.randrange(5, 60 * random.choice((2, 12, 60))))
    facts[0]["channel"] = random.choice(("portal", "email"))
    return {"facts": facts, "until": (at + timedelta(days=10)).isoformat()}


def long_story() -> dict[str, Any]:
    """500 facts of every kind on a business calendar: a ticket that stays open for two years."""
    kinds = EVENTFUL.split()
    random = Random(2)
    plot = ["opened", *(kinds[number % len(kinds)] for number in range(499))]
    return story(random, 3, plot)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some runs: the others were slowed down by something else."""
    taken = []
    for _ in range(RUNS):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


if __name__ == "__main__":
    show(measure(FULL))
