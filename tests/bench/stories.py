"""Compares the product's timelines with the reference on many random stories: `make stories STORIES=20000`.

Prints how many stories hold each of the rarer cases, and every story that differs. Exits with 1 if one does.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from sla_timer.domain.simulate import SimulationRequest, simulate
from support.random_stories import AUTOMATIC_ACTORS, random_story, story_policy
from support.reference_timeline import is_automatic_receipt, reference


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--stories", type=int, default=20_000)
    arguments.add_argument("--first", type=int, default=0, help="the seed of the first story")
    given = arguments.parse_args()
    policies = [story_policy()]
    cases: Counter[str] = Counter()
    different = 0
    for seed in range(given.first, given.first + given.stories):
        story = random_story(Random(seed))
        simulated = simulate(SimulationRequest.model_validate(story, strict=False), policies)
        events = simulated.pop("events")
        cases.update(set(cases_of(story, simulated, events)))
        if simulated != reference(story, AUTOMATIC_ACTORS):
            different += 1
            sys.stdout.write(f"story {seed} differs: {story}\n")
    for case, stories in sorted(cases.items()):
        sys.stdout.write(f"{stories:>7} stories with {case}\n")
    sys.stdout.write(f"{given.stories} stories, {different} differences\n")
    return 1 if different else 0


def cases_of(story: dict[str, Any], timeline: dict[str, Any], events: list[dict[str, Any]]) -> Iterator[str]:
    """The cases that a story holds; some more than once."""
    opened = story["facts"][0]
    resolves = {fact["occurred_at"] for fact in story["facts"] if fact["type"] == "resolved"}
    yield f"category {opened.get('category', 'incident')}"
    for clock in timeline["clocks"]:
        if clock["clock"] != "resolution":
            continue
        breached_at = clock["breached_at"]
        if clock["cycle"] > 1 and breached_at is not None:
            yield "a breach in or before a later cycle"
        if breached_at in resolves and breached_at == clock["started_at"]:
            yield "silence that a resolve ends"
        if opened.get("starts_at") not in (None, clock["due_at"]):
            yield "a deadline other than the start of the work"
        elif "starts_at" in opened:
            yield "a deadline at the start of the work"
    if any(event["type"] == "ladder.step_due" and event["reason"] == "no_response" for event in events):
        yield "a ladder that silence started"
    if any(is_automatic_receipt(fact, AUTOMATIC_ACTORS) for fact in story["facts"]):
        yield "an automatic receipt"
    if any(fact["type"] in ("assessed", "assigned") for fact in story["facts"]):
        yield "an assessment or assignment"


if __name__ == "__main__":
    sys.exit(main())
