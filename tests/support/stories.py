"""Stories for tests: a ticket's facts in short notation, and what the simulation returns for them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sla_timer.domain.simulate import SimulationRequest, simulate
from tocsin.policy import Policy, load_policy
from tocsin.sources.policy_file import read_policy

DEFAULT_POLICY = Path(__file__).parents[2] / "deploy" / "policy" / "policy.yaml"


@lru_cache
def shipped_policy() -> Policy:
    return read_policy(DEFAULT_POLICY)


@lru_cache
def changed_policy(old: str, new: str, *, version: str = "1") -> Policy:
    """The shipped policy with `new` in place of `old`, as that version."""
    text = DEFAULT_POLICY.read_text("utf-8").replace('version: "1"', f'version: "{version}"')
    assert old in text, "the shipped policy has changed"
    return load_policy(text.replace(old, new, 1), "policy.yaml")


def at(text: str) -> str:
    """`06-08 12:00` in 2026, as responses render instants."""
    fraction = "%m-%d %H:%M:%S.%f" if "." in text else "%m-%d %H:%M"
    moment = datetime.strptime(f"2026-{text}", f"%Y-{fraction}").replace(tzinfo=UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def fact(kind: str, when: str, **fields: Any) -> dict[str, Any]:
    """A fact of a story; `when` as `at` reads it."""
    return {"type": kind, "occurred_at": at(when), **fields}


def simulated(
    *facts: dict[str, Any], until: str, policies: Sequence[Policy] = (), customer: str | None = None
) -> dict[str, Any]:
    """The simulation of these facts, without policies by the shipped one."""
    story = {"facts": list(facts), "until": at(until), "customer": customer}
    request = SimulationRequest.model_validate(story, strict=False)
    return simulate(request, policies or [shipped_policy()])


def simulated_ticket(facts: Sequence[Mapping[str, Any]], until: datetime) -> dict[str, Any]:
    """The simulation of the facts in intake's response for a ticket, by the shipped policy."""
    given = [{name: value for name, value in fact.items() if value is not None} for fact in facts]
    request = SimulationRequest.model_validate({"facts": given, "until": until.isoformat()}, strict=False)
    return simulate(request, [shipped_policy()])


def clock(timeline: dict[str, Any], name: str, cycle: int = 1) -> dict[str, Any]:
    """One clock of a simulated timeline."""
    found: dict[str, Any] = next(c for c in timeline["clocks"] if c["clock"] == name and c["cycle"] == cycle)
    return found


def ladder(timeline: dict[str, Any]) -> list[tuple[int, str, str]]:
    """The steps of a simulated timeline: (step, at, reason)."""
    return [(step["step"], step["at"], step["reason"]) for step in timeline["ladder"]]
