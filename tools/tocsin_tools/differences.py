"""What a service tells of a ticket against what the pure function makes of the same facts. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sla_timer.domain.simulate import SimulatedFact, SimulationRequest, simulate
from tocsin.policy import Policy


def pure(
    facts: Sequence[Mapping[str, Any]], customer: str, live: Mapping[str, Any], policies: Sequence[Policy]
) -> dict[str, Any]:
    """The simulation of these facts, told to the instant to which `live`, the clocks of the ticket, were told."""
    story = SimulationRequest(
        facts=[SimulatedFact.model_validate(fact) for fact in facts], until=live["told_to"], customer=customer
    )
    return simulate(story, policies)


def differences(expected: object, found: object, path: str = "") -> Iterator[str]:
    """A line for each value of `expected` that `found` has otherwise; what only `found` has is passed over."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name, value in expected.items():
            yield from differences(value, found.get(name), f"{path}.{name}" if path else name)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif expected != found:
        yield f"{path} is {found}, the rules say {expected}"
