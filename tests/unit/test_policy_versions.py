"""Versions of the policy: each governs from its instant on (docs/rules.md#4-14)."""

import pytest
from sla_timer.domain.fact_log import Rulebook, Story
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import Kind
from support.fake_timer import Teller, briefly, moment, said
from support.stories import DEFAULT_POLICY, at, shipped_policy
from tocsin.business_time import micros, render
from tocsin.events import Fact
from tocsin.policy import Policy, load_policy

OPENED = said(1, "opened", "06-08 12:00", severity=1)
ANSWERED = said(2, "responded", "06-08 12:00")


def version(name: str, in_force: str, old: str, new: str) -> Policy:
    """The shipped policy with `new` in place of `old`, in force from that instant."""
    text = DEFAULT_POLICY.read_text().replace('version: "1"', f'version: "{name}"')
    text = text.replace("2000-01-01T00:00:00Z", at(in_force))
    assert old in text
    return load_policy(text.replace(old, new, 1), "policy.yaml")


def shorter(in_force: str, name: str = "2") -> Policy:
    """A version with a resolution target of 12 instead of 24 hours for severity 1."""
    return version(name, in_force, "1: 24h", "1: 12h")


def timeline(policies: list[Policy], *facts: Fact, until: str) -> Timeline:
    return Timeline(Story.of(facts, "portal"), Rulebook(policies, None)).tell(micros(moment(until)))


def due(told: Timeline) -> str:
    assert told.resolution.due is not None
    return render(told.resolution.due)


@pytest.mark.rule("4.14")
def test_running_clocks_are_measured_anew_when_a_version_comes_into_force() -> None:
    policies = [shipped_policy(), shorter("06-08 18:00")]
    assert due(timeline(policies, OPENED, ANSWERED, until="06-08 17:59")) == at("06-09 12:00")
    assert due(timeline(policies, OPENED, ANSWERED, until="06-08 18:00")) == at("06-09 00:00")


@pytest.mark.rule("4.15")
def test_a_deadline_moved_into_the_past_is_breached_effective_when_the_version_comes_into_force() -> None:
    told = timeline([shipped_policy(), shorter("06-09 06:00")], OPENED, ANSWERED, until="06-09 07:00")
    assert [(h.kind, render(h.at)) for h in told.happenings if h.at > micros(moment("06-08 12:00"))][-3:] == [
        (Kind.BREACHED, at("06-09 06:00")),
        (Kind.STEP_DUE, at("06-09 06:00")),
        (Kind.STEP_DUE, at("06-09 07:00")),
    ]


@pytest.mark.rule("4.14")
def test_ended_clocks_keep_the_version_of_their_end() -> None:
    resolved = said(3, "resolved", "06-09 05:00")
    told = timeline([shipped_policy(), shorter("06-09 06:00")], OPENED, ANSWERED, resolved, until="06-10 00:00")
    assert (told.resolution.outcome, due(told)) == ("met", at("06-09 12:00"))


@pytest.mark.rule("4.15")
def test_a_version_that_gives_more_time_holds_a_ladder_that_a_breach_started() -> None:
    longer = version("2", "06-09 12:30", "1: 24h", "1: 30h")
    told = timeline([shipped_policy(), longer], OPENED, ANSWERED, until="06-09 18:00")
    ladder = [(h.kind, render(h.at), h.held_by) for h in told.happenings if h.clock is None]
    assert ladder == [
        (Kind.STEP_DUE, at("06-09 12:00"), None),
        (Kind.HELD, at("06-09 12:30"), "policy"),
        (Kind.STEP_DUE, at("06-09 18:00"), None),
    ]


def test_the_order_in_which_versions_were_stored_does_not_matter() -> None:
    policies = [shorter("06-08 18:00"), version("3", "06-08 20:00", "1: 24h", "1: 6h"), shipped_policy()]
    told = timeline(policies, OPENED, ANSWERED, until="06-08 19:00")
    assert due(told) == at("06-09 00:00")
    assert told.rulebook.versions == ["1", "2", "3"]
    assert told.tell(micros(moment("06-08 20:00"))).resolution.breached_at == micros(moment("06-08 20:00"))


@pytest.mark.rule("4.14")
def test_before_the_oldest_version_the_oldest_governs() -> None:
    assert due(timeline([shorter("12-01 00:00")], OPENED, ANSWERED, until="06-08 13:00")) == at("06-09 00:00")


@pytest.mark.rule("4.16")
def test_a_version_that_is_stored_late_publishes_the_difference() -> None:
    teller = Teller(Rulebook([shipped_policy()], None))
    teller.receive([OPENED, ANSWERED])
    teller.pass_time(moment("06-09 07:00"))
    before = len(teller.events)
    teller.rulebook = Rulebook([shipped_policy(), shorter("06-09 06:30")], None)
    teller.receive([], accepted_through=moment("06-09 07:00"))
    assert briefly(teller.events[before:]) == [
        ("breached resolution", "06-09 06:30"),
        ("step_due 1 of run 1", "06-09 06:30"),
    ]


def test_customers_with_their_own_terms_in_any_version_have_their_own_rules() -> None:
    own = version("2", "06-08 18:00", "customers: {}", "customers: {acme: {targets: {response: {1: 30m}}}}")
    book = PolicyBook()
    book.renew([shipped_policy(), own])
    assert book.rulebook("zeta") is book.rulebook(None)
    acme = book.rulebook("acme")
    assert [rules.response[1].words for rules in acme.rules] == ["1 hour", "30 minutes"]
    book.renew([shipped_policy(), own])
    assert book.rulebook("acme") is acme
    book.renew([shipped_policy(), own, shorter("06-09 00:00", "3")])
    assert len(book.rulebook("acme").rules) == 3
    assert book.zone == "America/New_York"


def test_facts_without_an_opening_are_rejected() -> None:
    with pytest.raises(ValueError, match="opening"):
        Story.of([ANSWERED], "portal")
