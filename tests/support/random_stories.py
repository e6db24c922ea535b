"""Random stories to test timelines with: many facts occur at, just before or just after a deadline of the story."""

from random import Random
from typing import Any

from tocsin.policy import Policy

from support.reference_timeline import HOUR, MINUTE, instant, opening_hours_after, reference, used_up, written
from support.stories import changed_policy

DAY = 24 * HOUR

# Ordinary days, weekends, closing hours, holidays (2026-07-03 is observed, 2026-11-26 is Thanksgiving) and the nights
# of the time changes (2026-03-08, 2026-11-01). New York is open 12:00Z-21:00Z in summer, an hour later in winter.
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
    "assessed",
    "assigned",
)
CATEGORIES = {
    "incident": 45,
    "onboarding": 22,
    "offboarding": 8,
    "project": 15,
    "user_request": 4,
    "security": 3,
    "mishandled_request": 3,
}
AUTOMATIC_ACTORS = ("autoresponder", "*@noreply.example.com", "mailer-*-bot")
"""For the policy of the stories: the shipped one names none."""
ACTORS = ("autoresponder", "desk@noreply.example.com", "mailer-7-bot", "autoresponder 2", "mailer-bot", "maya", None)


def story_policy() -> Policy:
    """The shipped policy with the automatic actors of the stories."""
    named = ", ".join(f'"{actor}"' for actor in AUTOMATIC_ACTORS)
    return changed_policy("automatic_actors: []", f"automatic_actors: [{named}]")


def random_story(random: Random) -> dict[str, Any]:
    """A story of 1 to 14 facts for `reference` and `simulate`.

    Some facts are impossible in the state of the ticket, some are older than the opening, some later than `until`.
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
    category = random.choices(list(CATEGORIES), list(CATEGORIES.values()))[0]
    if category != "incident" or random.random() < 0.5:
        opened["category"] = category
    if random.random() < (0.8 if category in ("onboarding", "offboarding") else 0.1):
        opened["starts_at"] = written(random_start(random, opened, opened_at))
    facts = [opened]
    now = opened_at
    # In some stories nobody responds, so that they are resolved after silence.
    silent = random.random() < 0.3
    if not silent and random.random() < 0.4:
        # Without a response nearly every ladder would start for this reason.
        now += random.choice((0, 0, MINUTE, HOUR, random.randrange(DAY)))
        facts.append({"type": "responded", "occurred_at": written(now)} | random_actor(random))
    # How often the next fact waits for a deadline.
    patience = random.choice((0.3, 0.6, 0.85))
    for _ in range(random.choices((0, random.randrange(1, 4), random.randrange(4, 13)), (2, 18, 80))[0]):
        now = next_instant(random, facts, now, patience)
        facts.append(next_fact(random, facts, now, silent=silent))
    if len(facts) < 14 and random.random() < 0.06:
        early = next_fact(random, facts, opened_at)
        early["occurred_at"] = written(opened_at - random.choice((0, 1, HOUR, 3 * DAY)))
        facts.insert(random.randrange(1, len(facts) + 1), early)
    if random.random() < 0.15:
        late = facts[1:]
        random.shuffle(late)
        facts[1:] = late
    return {"facts": facts, "until": written(random_until(random, facts, opened_at, now))}


def random_start(random: Random, opened: dict[str, Any], opened_at: int) -> int:
    """When the work is to start: often at, just before or just after the deadline by target, or days after it."""
    responded = {"type": "responded", "occurred_at": opened["occurred_at"]}
    facts = [opened | {"category": "incident"}] + ([responded] if random.random() < 0.5 else [])
    timeline = reference({"facts": facts, "until": opened["occurred_at"]})
    due = instant(next(clock["due_at"] for clock in timeline["clocks"] if clock["clock"] == "resolution"))
    kind = random.randrange(4)
    if kind == 0:
        return due + nudge(random)
    if kind == 1:
        return due + random.choice(SPANS) + nudge(random)
    if kind == 2:
        return due + random.randrange(1, 40 * DAY)
    return opened_at + random.randrange(-DAY, 30 * DAY)


def random_actor(random: Random) -> dict[str, Any]:
    """The actor of a response: mostly a person, sometimes one whose responses are automatic receipts."""
    return {} if random.random() < 0.7 else {"actor": random.choice(ACTORS)}


def next_instant(random: Random, facts: list[dict[str, Any]], now: int, patience: float) -> int:
    """The instant of the next fact, at `now` or later; mostly at a deadline of the story so far."""
    if random.random() < 0.14:
        return now
    if random.random() < patience:
        due = random_deadline(random, facts, now)
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
        assert working is not None, "no time is excluded"
        return working
    if kind == 3:
        return now + random.randrange(1, random.choice((HOUR, DAY, 10 * DAY)))
    # Exactly some span after an earlier fact
    since = instant(random.choice(facts)["occurred_at"])
    return max(now, since + random.choice(SPANS))


def nudge(random: Random) -> int:
    """Zero, a microsecond before or after, or up to 50 minutes, in microseconds."""
    return random.choices((0, -1, 1, random.randrange(1, 50 * MINUTE)), (48, 12, 12, 28))[0]


def random_deadline(random: Random, facts: list[dict[str, Any]], now: int) -> int | None:
    """The instant of a warning, a deadline or a ladder step of the story so far, after `now`."""
    until = written(now + random.choice((1, 3, 10, 30)) * DAY)
    timeline = reference({"facts": facts, "until": until}, AUTOMATIC_ACTORS)
    instants = [timeline["next_at"], timeline["exhausted_at"]]
    instants += [step["at"] for step in timeline["ladder"]]
    instants += [clock[name] for clock in timeline["clocks"] for name in ("warn_at", "due_at")]
    ahead = sorted({instant(text) for text in instants if text is not None and instant(text) > now})
    # Often the next one, so that there are long sequences too.
    return None if not ahead else ahead[0] if random.random() < 0.5 else random.choice(ahead)


def next_fact(random: Random, facts: list[dict[str, Any]], now: int, silent: bool = False) -> dict[str, Any]:
    """A fact at `now` that is mostly possible after `facts`."""
    timeline = reference({"facts": facts, "until": written(now)}, AUTOMATIC_ACTORS)
    is_sensible = random.random() >= 0.07
    kind = sensible_type(random, timeline, facts, silent) if is_sensible else random.choice(TYPES)
    fact: dict[str, Any] = {"type": kind, "occurred_at": written(now)}
    if kind == "responded":
        fact |= random_actor(random)
    if kind == "assessed":
        fact["impact"] = {"business_risk": random.choice(("catastrophic", "major", "minimal"))}
    if kind == "assigned":
        fact["assignee"] = random.choice((None, {"name": "Maya"}, {"name": "Maya", "email": "maya@msp.example"}))
    if kind == "severity_changed":
        others = [severity for severity in (1, 1, 2, 3, 4) if severity != timeline["severity"]]
        fact["severity"] = timeline["severity"] if random.random() < 0.06 else random.choice(others)
    if kind == "resolved" and random.random() < 0.3:
        fact["resolution_kind"] = random.choice(("workaround", "workaround", "resolved"))
    return fact


def sensible_type(random: Random, timeline: dict[str, Any], facts: list[dict[str, Any]], silent: bool) -> str:
    if is_closed(facts):
        types = ("reopened", "severity_changed", "acknowledged", "escalated", "assessed", "assigned")
        return random.choices(types, (66, 30, 2, 2, 2, 2))[0]
    paused = is_paused(facts)
    escalating = bool(timeline["ladder"])
    weights = {
        "responded": 2 if timeline["first_responded_at"] or silent else 18,
        "severity_changed": 24,
        "paused": 1 if paused else 11,
        "resumed": 22 if paused else 1,
        "resolved": 9 if timeline["first_responded_at"] or silent else 4,
        "cancelled": 9,
        "reopened": 1,
        "acknowledged": 18 if escalating else 2,
        "escalated": 16 if escalating else 11,
        "assessed": 2,
        "assigned": 2,
    }
    return random.choices(list(weights), list(weights.values()))[0]


def is_paused(facts: list[dict[str, Any]]) -> bool:
    """Whether the ticket is paused after these facts, in the order of the list."""
    changes = [fact["type"] for fact in facts if fact["type"] in ("paused", "resumed", "resolved", "cancelled")]
    return bool(changes) and changes[-1] == "paused"


def is_closed(facts: list[dict[str, Any]]) -> bool:
    """Whether the ticket is closed after these facts, in the order of the list."""
    changes = [fact["type"] for fact in facts if fact["type"] in ("resolved", "cancelled", "reopened")]
    return bool(changes) and changes[-1] != "reopened"


def random_until(random: Random, facts: list[dict[str, Any]], opened_at: int, now: int) -> int:
    """The instant up to which the timeline is computed: often at a deadline or a fact, or a microsecond beside it."""
    ending = random.randrange(10)
    if ending < 3:
        return random_deadline(random, facts, now) or now
    if ending < 4:
        return max(opened_at, (random_deadline(random, facts, now) or now) + random.choice((-1, 1)))
    if ending < 5:
        return now
    if ending < 6:
        return max(opened_at, instant(random.choice(facts)["occurred_at"]) + random.choice((-1, 0, 0, 1)))
    return now + random.choice((HOUR, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 60 * DAY))
