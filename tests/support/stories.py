"""Stories for tests: told by the shipped policy, written as short as people tell them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sla_timer.domain.simulate import StoryRequest, simulate
from tocsin.policy import Policy
from tocsin.sources.policy_file import read_policy

DEFAULT_POLICY = Path(__file__).parents[2] / "deploy" / "policy" / "policy.yaml"


@lru_cache
def shipped_policy() -> Policy:
    return read_policy(DEFAULT_POLICY)


def at(text: str) -> str:
    """`06-08 12:00` in 2026, in the form of answers."""
    fraction = "%m-%d %H:%M:%S.%f" if "." in text else "%m-%d %H:%M"
    moment = datetime.strptime(f"2026-{text}", f"%Y-{fraction}").replace(tzinfo=UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def fact(kind: str, when: str, **more: Any) -> dict[str, Any]:
    """A fact of a story: what happened, when (as `at` reads it), and what else it says."""
    return {"type": kind, "occurred_at": at(when), **more}


def tell(*facts: dict[str, Any], until: str) -> dict[str, Any]:
    """The simulation of these facts by the shipped policy."""
    request = StoryRequest.model_validate({"facts": list(facts), "until": at(until)}, strict=False)
    return simulate(request, [shipped_policy()])


def retold(facts: Sequence[Mapping[str, Any]], until: datetime) -> dict[str, Any]:
    """The simulation of a ticket's facts as intake shows them, in its order, by the shipped policy."""
    said = [{name: value for name, value in fact.items() if value is not None} for fact in facts]
    asked = StoryRequest.model_validate({"facts": said, "until": until.isoformat()}, strict=False)
    return simulate(asked, [shipped_policy()])


def clock(told: dict[str, Any], name: str, cycle: int = 1) -> dict[str, Any]:
    """One clock of a told story."""
    found: dict[str, Any] = next(c for c in told["clocks"] if c["clock"] == name and c["cycle"] == cycle)
    return found


def ladder(told: dict[str, Any]) -> list[tuple[int, str, str]]:
    """The steps of a told story: (step, at, reason)."""
    return [(step["step"], step["at"], step["reason"]) for step in told["ladder"]]
