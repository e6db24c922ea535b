"""Mailbox, severity and flags of a new ticket, by the shipped policy (docs/rules.md#6-channels-and-mailboxes)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from intake.domain.routing import Routing, route
from intake.domain.ticket_request import DerivedTicketRequest, TicketRequest, validate_request
from tocsin.events import Flag
from tocsin.policy import Policy, load_policy

SHIPPED = Path(__file__).parents[2] / "deploy" / "policy" / "policy.yaml"
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy() -> Policy:
    text = SHIPPED.read_text().replace("machine_sources: {}", "machine_sources: {prometheus: 2}")
    return load_policy(text, "policy.yaml")


BODY = {
    "source": "connectwise",
    "external_id": "SR-1",
    "severity": 3,
    "summary": "New hire",
    "affected_services": ["Accounts"],
    "contact": {"name": "Ada", "phone": "1"},
    "customer": {"id": "acme", "name": "Acme"},
}


def routed(policy: Policy, **fields: Any) -> Routing:
    return route(validate_request(TicketRequest, BODY | fields, policy.machine_sources), NOON, policy)


@pytest.mark.rule("6.4")
@pytest.mark.parametrize("category", ["onboarding", "offboarding", "mishandled_request", "project", "security"])
def test_the_it_contact_reaches_escalations_for_its_purposes(policy: Policy, category: str) -> None:
    found = routed(policy, via="escalations", category=category, sender_is_it_contact=True)
    assert found.routed_to == "escalations"
    assert "rerouted" not in found.flags


@pytest.mark.rule("6.5")
@pytest.mark.parametrize(
    ("category", "is_it_contact"), [("project", False), ("incident", True), ("user_request", True)]
)
def test_any_other_request_to_escalations_is_rerouted_and_flagged(
    policy: Policy, category: str, is_it_contact: bool
) -> None:
    found = routed(policy, via="escalations", category=category, sender_is_it_contact=is_it_contact)
    assert (found.routed_to, found.flags) == ("support", ("rerouted",))


def test_support_accepts_every_category(policy: Policy) -> None:
    found = routed(policy, category="project")
    assert (found.routed_to, found.flags) == ("support", ())


@pytest.mark.rule("6.11")
@pytest.mark.parametrize(
    ("category", "notice", "is_short"),
    [
        ("onboarding", timedelta(hours=48), False),
        ("onboarding", timedelta(hours=48) - timedelta(microseconds=1), True),
        ("onboarding", timedelta(hours=-1), True),
        ("offboarding", timedelta(hours=1), False),
    ],
)
def test_onboarding_needs_48_elapsed_hours_of_notice(
    policy: Policy, category: str, notice: timedelta, is_short: bool
) -> None:
    found = routed(policy, category=category, starts_at=(NOON + notice).isoformat())
    assert found.flags == (("short_notice",) if is_short else ())


@pytest.mark.rule("6.12")
@pytest.mark.parametrize(
    ("category", "flags"), [("onboarding", ("start_missing",)), ("offboarding", ()), ("project", ())]
)
def test_an_onboarding_without_a_start_is_flagged(policy: Policy, category: str, flags: tuple[Flag, ...]) -> None:
    assert routed(policy, category=category).flags == flags


@pytest.mark.rule("1.10")
@pytest.mark.parametrize(
    ("email", "flags"),
    [("ada@acme.example", ()), ("jörg@müller.example", ()), ("ada", ("contact_unusable",)), (None, ())],
)
def test_a_contact_whose_address_cannot_be_used_is_flagged(
    policy: Policy, email: str | None, flags: tuple[Flag, ...]
) -> None:
    body = BODY | {"contact": {"name": "Ada", "phone": "1", "email": email}}
    assert route(DerivedTicketRequest.model_validate(body), NOON, policy).flags == flags


@pytest.mark.rule("6.13")
def test_security_is_flagged_and_keeps_its_severity(policy: Policy) -> None:
    found = routed(policy, category="security", severity=4)
    assert (found.severity, found.flags) == (4, ("security",))


@pytest.mark.rule("1.9")
def test_a_machine_source_gets_its_default_severity(policy: Policy) -> None:
    default = routed(policy, source="prometheus", severity=None)
    assert (default.severity, default.flags) == (2, ("default_severity",))
    assert routed(policy, source="prometheus", severity=4).flags == ()
