"""Random stories for the timeline, made to hurt: facts fall on, just before and just after what the story has due."""

from random import Random
from typing import Any

from support.reference_timeline import HOUR, MINUTE, instant, opening_hours_after, reference, used_up, written

DAY = 24 * HOUR

# Ordinary days, weekends, closings, holidays (2026-07-03 is the observed one, 11-26 Thanksgiving) and the two nights on
# which clocks change (2026-03-08 and 2026-11-01). New York is open 12:00Z-21:00Z in summer, in winter an hour later.
OPENINGS = (
    "2026-06-08T12:00:00Z",
    "2026-06-08T13:30:00Z",
    "2026-06-09T21:00:00Z",
    "2026-06-10T20:59:59.999999Z",
    "2026-06-12T20:00:00Z",
    "2026-06-13T15:00:00Z",
    "2026-06-18T21:00:00Z",
    "2026-07-02T20:00:00Z",
    "2026-07-03T14:00:00Z",
    "2026-03-06T21:00:00Z",
    "2026-03-06T22:00:00Z",
    "2026-03-07T06:30:00Z",
    "2026-03-08T01:00:00Z",
    "2026-03-08T07:00:00Z",
    "2026-10-30T20:00:00Z",
    "2026-10-31T05:30:00Z",
    "2026-11-01T05:30:00Z",
    "2026-11-23T19:00:00Z",
    "2026-12-24T22:00:00Z",
    "2026-12-31T21:30:00Z",
)
SPANS = (
    15 * MINUTE,
    30 * MINUTE,
    45 * MINUTE,
    1 * HOUR,
    90 * MINUTE,
    2 * HOUR,
    3 * HOUR,
    9 * HOUR,
    18 * HOUR,
    24 * HOUR,
    27 * HOUR,
    36 * HOUR,
)
TYPES = (
    "responded",
    "severity_changed",
    "paused",
    "resumed",
    "resolved",
    "cancelled",
    "reopened",
    "acknowledged",
    "escalated",
)


def story(random: Random) -> dict[str, Any]:
    """A story of 1 to 14 facts for `reference` and `simulate`; nothing in it but the order of facts is tidy.

    Some of its facts are impossible at their instant, some older than the opening, some later than `until`.
    """
    opened_at = instant(random.choice(OPENINGS)) + random.choice((0, 0, 0, 7 * DAY, random.randrange(14 * DAY)))
    opened: dict[str, Any] = {
        "type": "opened",
        "occurred_at": written(opened_at),
        "severity": random.choices((1, 2, 3, 4), (40, 20, 22, 18))[0],
    }
    channel = random.choice((None, "portal", "email", "email"))
    if channel is not None:
        opened["channel"] = channel
    facts = [opened]
    now = opened_at
    if random.random() < 0.4:
        # Else silence would start nearly every ladder.
        now += random.choice((0, 0, MINUTE, HOUR, random.randrange(DAY)))
        facts.append({"type": "responded", "occurred_at": written(now)})
    # A patient story lets things fall due between its facts; a hasty one heaps them up.
    patience = random.choice((0.3, 0.6, 0.85))
    for _ in range(random.choices((0, random.randrange(1, 4), random.randrange(4, 13)), (2, 18, 80))[0]):
        now = next_instant(random, facts, now, patience)
        facts.append(next_fact(random, facts, now))
    if len(facts) < 14 and random.random() < 0.06:
        early = next_fact(random, facts, opened_at)
        early["occurred_at"] = written(opened_at - random.choice((0, 1, HOUR, 3 * DAY)))
        facts.insert(random.randrange(1, len(facts) + 1), early)
    if random.random() < 0.15:
        late = facts[1:]
        random.shuffle(late)
        facts[1:] = late
    return {"facts": facts, "until": written(told_until(random, facts, opened_at, now))}


def next_instant(random: Random, facts: list[dict[str, Any]], now: int, patience: float) -> int:
    """At `now` or later; mostly where the story so far has something due."""
    if random.random() < 0.14:
        return now
    if random.random() < patience:
        due = some_due(random, facts, now)
        if due is not None:
            return max(now, due + nudge(random))
    kind = random.randrange(5)
    if kind == 0:
        return now + random.choice(SPANS)
    if kind == 1:
        opening, closing = opening_hours_after(now)
        return max(now, random.choice((opening, closing)) + nudge(random))
    if kind == 2:
        working = used_up(True, now, random.choice((1, 6, 8, 9, 9, 18, 45, 63)) * HOUR, [])
        assert working is not None, "nothing excludes anything"
        return working
    if kind == 3:
        return now + random.randrange(1, random.choice((HOUR, DAY, 10 * DAY)))
    # An exact span after some earlier fact
    since = instant(random.choice(facts)["occurred_at"])
    return max(now, since + random.choice(SPANS))


def nudge(random: Random) -> int:
    return random.choices((0, -1, 1, random.randrange(1, 50 * MINUTE)), (48, 12, 12, 28))[0]


def some_due(random: Random, facts: list[dict[str, Any]], now: int) -> int | None:
    """An instant after `now` at which something of the story so far falls due by itself: warning, due, step."""
    told = reference({"facts": facts, "until": written(now + random.choice((1, 3, 10, 30)) * DAY)})
    instants = [told["next_at"], told["exhausted_at"]]
    instants += [step["at"] for step in told["ladder"]]
    instants += [clock[name] for clock in told["clocks"] for name in ("warn_at", "due_at")]
    ahead = sorted({instant(text) for text in instants if text is not None and instant(text) > now})
    # Often the very next one, so that long chains come about too.
    return None if not ahead else ahead[0] if random.random() < 0.5 else random.choice(ahead)


def next_fact(random: Random, facts: list[dict[str, Any]], now: int) -> dict[str, Any]:
    """Something that mostly makes sense at `now`, after all of `facts`."""
    told = reference({"facts": facts, "until": written(now)})
    resolution = [clock for clock in told["clocks"] if clock["clock"] == "resolution"][-1]
    closed = resolution["ended_at"] is not None
    kind = random.choice(TYPES) if random.random() < 0.07 else sensible_type(random, told, closed, waiting(facts))
    fact: dict[str, Any] = {"type": kind, "occurred_at": written(now)}
    if kind == "severity_changed":
        others = [severity for severity in (1, 1, 2, 3, 4) if severity != told["severity"]]
        fact["severity"] = told["severity"] if random.random() < 0.06 else random.choice(others)
    if kind == "resolved" and random.random() < 0.3:
        fact["resolution_kind"] = random.choice(("workaround", "workaround", "resolved"))
    return fact


def sensible_type(random: Random, told: dict[str, Any], closed: bool, is_waiting: bool) -> str:
    if closed:
        return random.choices(("reopened", "severity_changed", "acknowledged", "escalated"), (66, 30, 2, 2))[0]
    climbing = bool(told["ladder"])
    weights = {
        "responded": 2 if told["first_responded_at"] else 18,
        "severity_changed": 24,
        "paused": 1 if is_waiting else 11,
        "resumed": 22 if is_waiting else 1,
        "resolved": 9 if told["first_responded_at"] else 4,
        "cancelled": 9,
        "reopened": 1,
        "acknowledged": 18 if climbing else 2,
        "escalated": 16 if climbing else 11,
    }
    return random.choices(list(weights), list(weights.values()))[0]


def waiting(facts: list[dict[str, Any]]) -> bool:
    """Whether the last word on pauses, in the facts' order of telling, left the ticket paused."""
    words = [fact["type"] for fact in facts if fact["type"] in ("paused", "resumed", "resolved", "cancelled")]
    return bool(words) and words[-1] == "paused"


def told_until(random: Random, facts: list[dict[str, Any]], opened_at: int, now: int) -> int:
    ending = random.randrange(10)
    if ending < 3:
        return some_due(random, facts, now) or now
    if ending < 4:
        return max(opened_at, (some_due(random, facts, now) or now) + random.choice((-1, 1)))
    if ending < 5:
        return now
    if ending < 6:
        return max(opened_at, instant(random.choice(facts)["occurred_at"]) + random.choice((-1, 0, 0, 1)))
    return now + random.choice((HOUR, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 60 * DAY))
