"""A mapping that was wrong and is mended: what was taken in by it and read again ends as if it had been right."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.ticket_state import in_order as facts_in_order
from intake.domain.webhooks.config.integrations import Status
from intake.domain.webhooks.reconcile import difference
from intake.domain.webhooks.ticket_state import Effect, State, effects
from intake.domain.webhooks.update import Shown, in_order
from sla_timer.domain.simulate import StoryRequest, simulate
from support.search_budget import tries
from support.stories import shipped_policy
from tocsin.events import Fact, FactType

OPENED = datetime(2026, 6, 8, 12, 0, 7, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
UNTIL = OPENED + timedelta(days=60)
WORDS = "abcd"
STATUSES: tuple[Status | None, ...] = (
    "new",
    "in_progress",
    "responded",
    "waiting_customer",
    "resolved",
    "workaround",
    "cancelled",
    None,
)
NOT_BEFORE_AN_ANSWER = tuple(status for status in STATUSES if status != "cancelled")


@dataclass(frozen=True)
class Said:
    """What a delivery says, in the tool's words."""

    at: datetime
    place: int
    status: str
    priority: str | None = None
    responded_at: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True)
class Words:
    """What the tool's words mean; without `own_instants` the mapping does not read the tool's own."""

    statuses: Mapping[str, Status | None]
    priorities: Mapping[str, int]
    own_instants: bool = True

    def shown(self, said: Said) -> Shown:
        severity = self.priorities[said.priority] if said.priority else None
        own = {"responded_at": said.responded_at, "resolved_at": said.resolved_at} if self.own_instants else {}
        status = self.statuses[said.status]
        return Shown(at=said.at, key=f"{said.place:03}", status=status, severity=severity, **own)


def words(statuses: Sequence[Status | None] = STATUSES) -> st.SearchStrategy[Words]:
    return st.builds(
        Words,
        st.fixed_dictionaries({word: st.sampled_from(statuses) for word in WORDS}),
        st.fixed_dictionaries({word: st.integers(1, 4) for word in WORDS}),
        st.booleans(),
    )


@st.composite
def tellings(draw: st.DrawFn) -> list[Said]:
    """What a tool says of a ticket in the course of time, from an hour after its opening on."""
    told = []
    at = OPENED + HOUR
    for place in range(draw(st.integers(1, 6))):
        at += draw(st.sampled_from((0.25, 0.5, 1, 2, 7, 24, 30, 100))) * HOUR
        said = Said(
            at,
            place,
            draw(st.sampled_from(WORDS)),
            draw(st.one_of(st.none(), st.sampled_from(WORDS))),
            draw(st.one_of(st.none(), st.just(at - timedelta(seconds=draw(st.integers(1, 3000)))))),
            draw(st.one_of(st.none(), st.just(at - timedelta(seconds=draw(st.integers(0, 3000)))))),
        )
        told.append(said)
    return told


class Ticket:
    """A ticket as intake has it."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.seen: dict[int, Shown] = {}

    def take(self, told: Sequence[Said], meaning: Words) -> int:
        """Take deliveries in, one after the other, those that were taken in before too; how many facts it made."""
        return sum(self.read([said], meaning) for said in told)

    def read(self, told: Sequence[Said], meaning: Words) -> int:
        """Read deliveries together, and compare once."""
        before = dict(self.seen)
        self.seen |= {said.place: meaning.shown(said) for said in told}
        seen = list(self.seen.values())
        opened_with = in_order(seen)[0].severity or 2
        if not self.facts:
            self.add(FactType.OPENED, OPENED, severity=opened_with)
        mended = any(one != self.seen[place] for place, one in before.items())
        replaced = before.values() if mended else ()
        missing = difference(seen, self.facts, actor="tool", opened_with=opened_with, replaced=replaced)
        for request in missing:
            assert request.event_id not in {fact.event_id for fact in self.facts}
            self.add(**request.model_dump())
        return len(missing)

    def add(self, type: str, occurred_at: datetime, event_id: str | None = None, **fields: Any) -> None:
        number = len(self.facts) + 1
        event_id = event_id or f"{type}:{number}"
        fact = Fact(number=number, event_id=event_id, type=type, occurred_at=occurred_at, received_at=UNTIL, **fields)
        self.facts.append(fact)

    def stood(self, at: datetime) -> State:
        """How it stood at that instant, after all facts of it."""
        opening, *later = facts_in_order(self.facts)
        return effects(State(opening.severity or 0), [Effect.of(fact) for fact in later if fact.occurred_at <= at])[0]


def taken(told: Sequence[Said], meaning: Words) -> Ticket:
    ticket = Ticket()
    ticket.take(told, meaning)
    return ticket


@settings(max_examples=tries(40))
@given(tellings(), words(NOT_BEFORE_AN_ANSWER), words(NOT_BEFORE_AN_ANSWER))
def test_at_every_sighting_the_ticket_stands_as_if_the_mapping_had_always_been_right(
    told: list[Said], wrong: Words, right: Words
) -> None:
    ticket, expected = taken(told, wrong), taken(told, right)
    ticket.read(told, right)
    for said in told:
        assert ticket.stood(said.at) == expected.stood(said.at)


@settings(max_examples=tries(40))
@given(tellings(), words(), words())
def test_whatever_was_wrong_severity_pause_and_end_are_right(told: list[Said], wrong: Words, right: Words) -> None:
    """A response that reopened what had been cancelled unanswered can't be made impossible: it stays."""
    ticket, expected = taken(told, wrong), taken(told, right)
    ticket.read(told, right)
    for said in told:
        stood, wanted = ticket.stood(said.at), expected.stood(said.at)
        assert stood._replace(responded=True) == wanted._replace(responded=True)
        assert stood.responded >= wanted.responded


@settings(max_examples=tries(30))
@given(tellings(), words(), words(), st.data())
def test_read_again_and_again_nothing_is_added(
    told: list[Said], wrong: Words, right: Words, data: st.DataObject
) -> None:
    ticket = taken(told, wrong)
    ticket.read(told, right)
    again = data.draw(st.permutations(told))
    assert (ticket.read(told, right), ticket.take(again, right)) == (0, 0)


def timeline(ticket: Ticket, until: datetime) -> dict[str, Any]:
    told = [fact.model_dump(mode="json", exclude_none=True) for fact in ticket.facts]
    asked = {"facts": told, "until": until.isoformat()}
    return simulate(StoryRequest.model_validate_json(json.dumps(asked)), [shipped_policy()])


def present(told: dict[str, Any], name: str) -> dict[str, Any]:
    """The clock as it stands now: of the last cycle, without saying of which."""
    last = [one for one in told["clocks"] if one["clock"] == name][-1]
    return {key: value for key, value in last.items() if key != "cycle"}


def kinds(told: dict[str, Any]) -> list[str]:
    return [str(one["type"]) for one in told["events"]]


WRONG = Words({"a": "new", "b": "resolved", "c": "in_progress", "d": "responded"}, dict.fromkeys(WORDS, 1))
RIGHT = Words({"a": "new", "b": "waiting_customer", "c": "in_progress", "d": "responded"}, dict.fromkeys(WORDS, 2))


def test_waiting_that_was_taken_for_a_resolve_pauses_the_clocks_as_if_it_had_always() -> None:
    hours = ((1, "b"), (5, "c"))
    told = [Said(OPENED, 0, "a", "a"), *(Said(OPENED + at * HOUR, at, word) for at, word in hours)]
    ticket, expected = taken(told, WRONG), taken(told, RIGHT)
    ticket.read(told, RIGHT)
    found, wanted = (timeline(one, OPENED + 6 * HOUR) for one in (ticket, expected))
    assert present(found, "resolution") == present(wanted, "resolution")
    assert present(found, "response") == present(wanted, "response")
    assert present(found, "resolution")["net_seconds"] == 3600
    assert (found["severity"], found["next_at"]) == (2, wanted["next_at"])


def test_an_opening_severity_that_was_wrong_is_due_as_if_it_had_been_right_and_its_breach_is_none() -> None:
    told = [Said(OPENED, 0, "a", "a"), Said(OPENED + 1.5 * HOUR, 1, "d")]
    ticket, expected = taken(told, WRONG), taken(told, RIGHT)
    assert "clock.breached" in kinds(timeline(ticket, OPENED + 2 * HOUR))
    ticket.read(told, RIGHT)
    found, wanted = (timeline(one, OPENED + 2 * HOUR) for one in (ticket, expected))
    assert found["clocks"] == wanted["clocks"]
    assert kinds(found) == kinds(wanted) == ["clock.met"]


def test_a_response_that_was_none_leaves_its_clock_running() -> None:
    told = [Said(OPENED, 0, "a", "a"), Said(OPENED + HOUR, 1, "d")]
    mended = replace(RIGHT, statuses={**RIGHT.statuses, "d": "in_progress"})
    ticket, expected = taken(told, RIGHT), taken(told, mended)
    ticket.read(told, mended)
    found, wanted = (timeline(one, OPENED + 3 * HOUR) for one in (ticket, expected))
    late = datetime.fromisoformat(present(found, "response")["due_at"]) - datetime.fromisoformat(
        present(wanted, "response")["due_at"]
    )
    assert late == timedelta(microseconds=1)
    assert "clock.breached" in kinds(found)
