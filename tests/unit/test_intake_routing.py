"""Where a ticket belongs and what is worth saying about it (RULES 1 and 6), by the policy as shipped."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from intake.domain.routing import Routing, route
from intake.domain.ticket_request import TicketRequest, validate_request
from tocsin.policy import Policy, load_policy

SHIPPED = Path(__file__).parents[2] / "deploy" / "policy" / "policy.yaml"
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy() -> Policy:
    text = SHIPPED.read_text().replace("machine_sources: {}", "machine_sources: {prometheus: 2}")
    return load_policy(text, "policy.yaml")


def routed(policy: Policy, **fields: Any) -> Routing:
    body = {
        "source": "connectwise",
        "external_id": "SR-1",
        "severity": 3,
        "summary": "New hire",
        "affected_services": ["Accounts"],
        "contact": {"name": "Ada", "phone": "1"},
        "customer": {"id": "acme", "name": "Acme"},
    }
    return route(validate_request(TicketRequest, body | fields, policy.machine_sources), NOON, policy)


@pytest.mark.parametrize("category", ["onboarding", "offboarding", "mishandled_request", "project", "security"])
def test_the_it_contact_reaches_escalations_for_its_purposes(policy: Policy, category: str) -> None:
    found = routed(policy, via="escalations", category=category, sender_is_it_contact=True)
    assert found.routed_to == "escalations"
    assert "rerouted" not in found.flags


@pytest.mark.parametrize(("category", "contact"), [("project", False), ("incident", True), ("user_request", True)])
def test_anything_else_there_is_rerouted_and_says_so(policy: Policy, category: str, contact: bool) -> None:
    found = routed(policy, via="escalations", category=category, sender_is_it_contact=contact)
    assert (found.routed_to, found.flags) == ("support", ("rerouted",))


def test_support_takes_everything(policy: Policy) -> None:
    assert routed(policy, category="project").routed_to == "support"
    assert routed(policy, category="project").flags == ()


@pytest.mark.parametrize(
    ("category", "notice", "short"),
    [
        ("onboarding", timedelta(hours=48), False),
        ("onboarding", timedelta(hours=48) - timedelta(microseconds=1), True),
        ("onboarding", timedelta(hours=-1), True),
        ("offboarding", timedelta(hours=1), False),
    ],
)
def test_onboarding_needs_48_elapsed_hours(policy: Policy, category: str, notice: timedelta, short: bool) -> None:
    found = routed(policy, category=category, starts_at=(NOON + notice).isoformat())
    assert found.flags == (("short_notice",) if short else ())


def test_security_is_tagged_and_not_re_rated(policy: Policy) -> None:
    found = routed(policy, category="security", severity=4)
    assert (found.severity, found.flags) == (4, ("security",))


def test_a_machine_source_gets_its_default_severity(policy: Policy) -> None:
    assert routed(policy, source="prometheus", severity=None).severity == 2
    assert routed(policy, source="prometheus", severity=None).flags == ("default_severity",)
    assert routed(policy, source="prometheus", severity=4).flags == ()


def test_the_matrix_suggests_and_the_customer_decides(policy: Policy) -> None:
    found = routed(policy, severity=4, impact={"business_risk": "major", "users_affected_percent": 75})
    assert (found.severity, found.suggestion.severity, found.suggestion.fit) == (4, 1, False)
    assert routed(policy).suggestion.severity is None
