"""Policy versions: each governs from its own instant on."""

import pytest
from sla_timer.domain.clock import Clock
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import EventKind
from sla_timer.handlers.context import PolicyCache
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from support.stories import DEFAULT_POLICY, at, shipped_policy
from tocsin.business_time import micros, render
from tocsin.events import Fact, LadderContinued, LadderStepDue
from tocsin.policy import Policy, load_policy

OPENED = numbered_fact(1, "opened", "06-08 12:00", severity=1)
RESPONDED = numbered_fact(2, "responded", "06-08 12:00")


def version(name: str, in_force: str, old: str, new: str) -> Policy:
    """The shipped policy with `new` in place of `old`, in force from then on."""
    text = DEFAULT_POLICY.read_text().replace('version: "1"', f'version: "{name}"')
    text = text.replace("2000-01-01T00:00:00Z", at(in_force))
    assert old in text
    return load_policy(text.replace(old, new, 1), "policy.yaml")


def shorter(in_force: str, name: str = "2") -> Policy:
    """Severity 1 is to be resolved in 12 hours instead of 24."""
    return version(name, in_force, "1: 24h", "1: 12h")


def timeline(policies: list[Policy], *facts: Fact, until: str) -> Timeline:
    history = PolicyHistory.of(policies, None)
    return evaluate(FactLog.of(facts, history, channel="portal"), history, micros(moment(until)))


def resolution(found: Timeline) -> Clock:
    return next(clock for clock in found.clocks if clock.name == "resolution")


def due_at(found: Timeline) -> str:
    at = resolution(found).due_at
    assert at is not None
    return render(at)


@pytest.mark.rule("4.14")
def test_running_clocks_are_measured_anew_when_a_version_comes_into_force() -> None:
    policies = [shipped_policy(), shorter("06-08 18:00")]
    assert due_at(timeline(policies, OPENED, RESPONDED, until="06-08 17:59")) == at("06-09 12:00")
    assert due_at(timeline(policies, OPENED, RESPONDED, until="06-08 18:00")) == at("06-09 00:00")


@pytest.mark.rule("4.15")
def test_a_deadline_moved_into_the_past_is_breached_effective_when_the_version_comes_into_force() -> None:
    found = timeline([shipped_policy(), shorter("06-09 06:00")], OPENED, RESPONDED, until="06-09 07:00")
    assert [(event.kind, render(event.at)) for event in found.events][-3:] == [
        (EventKind.BREACHED, at("06-09 06:00")),
        (EventKind.STEP_DUE, at("06-09 06:00")),
        (EventKind.STEP_DUE, at("06-09 07:00")),
    ]


@pytest.mark.rule("4.14")
def test_ended_clocks_keep_the_version_of_their_end() -> None:
    resolved = numbered_fact(3, "resolved", "06-09 05:00")
    found = timeline([shipped_policy(), shorter("06-09 06:00")], OPENED, RESPONDED, resolved, until="06-10 00:00")
    assert (resolution(found).outcome, due_at(found)) == ("met", at("06-09 12:00"))


@pytest.mark.rule("0.6", "4.14")
def test_a_version_applies_before_a_fact_of_the_same_instant_and_its_breach_after_it() -> None:
    resolved = numbered_fact(3, "resolved", "06-09 06:00")
    found = timeline([shipped_policy(), shorter("06-09 06:00")], OPENED, RESPONDED, resolved, until="06-10 00:00")
    assert (resolution(found).outcome, due_at(found), found.ladder_steps) == ("met", at("06-09 00:00"), [])


@pytest.mark.rule("4.15")
def test_a_version_that_gives_more_time_holds_a_ladder_that_a_breach_started() -> None:
    longer = version("2", "06-09 12:30", "1: 24h", "1: 30h")
    found = timeline([shipped_policy(), longer], OPENED, RESPONDED, until="06-09 18:00")
    ladder = [(event.kind, render(event.at), event.held_by) for event in found.events if event.clock is None]
    assert ladder == [
        (EventKind.STEP_DUE, at("06-09 12:00"), None),
        (EventKind.HELD, at("06-09 12:30"), "policy"),
        (EventKind.STEP_DUE, at("06-09 18:00"), None),
    ]


def test_the_order_in_which_versions_were_stored_does_not_matter() -> None:
    policies = [shorter("06-08 18:00"), version("3", "06-08 20:00", "1: 24h", "1: 6h"), shipped_policy()]
    assert PolicyHistory.of(policies, None).versions == ("1", "2", "3")
    assert due_at(timeline(policies, OPENED, RESPONDED, until="06-08 19:00")) == at("06-09 00:00")
    found = timeline(policies, OPENED, RESPONDED, until="06-08 20:00")
    assert resolution(found).breached_at == micros(moment("06-08 20:00"))


@pytest.mark.rule("4.14")
def test_before_the_oldest_version_the_oldest_governs() -> None:
    assert due_at(timeline([shorter("12-01 00:00")], OPENED, RESPONDED, until="06-08 13:00")) == at("06-09 00:00")


@pytest.mark.rule("4.16")
def test_a_version_that_is_stored_late_publishes_the_difference() -> None:
    timer = FakeTimer()
    timer.receive([OPENED, RESPONDED])
    timer.pass_time(moment("06-09 07:00"))
    before = len(timer.events)
    timer.policies = PolicyHistory.of([shipped_policy(), shorter("06-09 06:30")], None)
    timer.receive([], accepted_through=moment("06-09 07:00"))
    assert summaries(timer.events[before:]) == [
        ("breached resolution", "06-09 06:30"),
        ("step_due 1 of run 1", "06-09 06:30"),
    ]


@pytest.mark.rule("4.8", "4.15")
def test_a_version_that_changes_the_interval_states_how_a_running_ladder_continues_when_it_comes_into_force() -> None:
    slower = version("2", "06-09 12:30", "1: 1h", "1: 2h")
    timer = FakeTimer(PolicyHistory.of([shipped_policy(), slower], None))
    timer.receive([OPENED, RESPONDED])
    timer.pass_time(moment("06-09 12:30"))
    step = timer.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.step, step.next_at) == (1, moment("06-09 13:00"))
    timer.receive([], accepted_through=moment("06-09 12:30"))
    continued = timer.events[-1]
    assert isinstance(continued, LadderContinued)
    assert (continued.at, continued.next_at) == (moment("06-09 12:30"), moment("06-09 14:00"))


@pytest.mark.rule("2.9")
def test_customers_with_their_own_terms_in_any_version_have_their_own_history() -> None:
    own = version("2", "06-08 18:00", "customers: {}", "customers: {acme: {targets: {response: {1: 30m}}}}")
    cache = PolicyCache([shipped_policy(), own])
    assert cache.history("zeta") is cache.history(None)
    acme = cache.history("acme")
    assert [rules.response[1].words for rules in acme.rules] == ["1 hour", "30 minutes"]
    assert cache.history("acme") is acme
    assert cache.zone_at(moment("06-08 12:00")) == "America/New_York"


def test_facts_without_an_opening_are_rejected() -> None:
    with pytest.raises(ValueError, match="opening"):
        FactLog.of([RESPONDED], PolicyHistory.of([shipped_policy()], None), channel="portal")
