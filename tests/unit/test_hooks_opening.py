"""Opening a ticket: the opening time is never invented, and every default used is flagged."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from intake.domain.webhooks.config.integrations import Defaults, Integration, load_integrations
from intake.domain.webhooks.dry_run import DryRun
from support.webhook_client import INTEGRATIONS, payload
from support.webhook_recordings import recorded, shipped

NOW = datetime(2026, 6, 8, 18, tzinfo=UTC)


def dry_run(provider: str, *bodies: object) -> list[dict[str, Any]]:
    """The results of deliveries received now by an integration that is a day old."""
    integration = shipped(provider).model_copy(update={"live_since": NOW - timedelta(days=1)})
    run = DryRun(integration, provider, NOW)
    raw = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    return [result for body in raw for result in run.deliver(body)]


def zendesk(name: str = "2-pending", **detail: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded("zendesk", name))
    return {**body, "detail": {**body["detail"], **detail}}


def halopsa(**fields: Any) -> dict[str, Any]:
    ticket: dict[str, Any] = json.loads(recorded("halopsa", "2-responded"))
    return {**ticket, **fields}


@pytest.mark.parametrize(
    "written",
    [
        "26/11/2020 11:00",
        "last tuesday",
        "2026-06-08 -0500",
        "0026-06-08T00:00:60Z",
        7,
    ],
)
@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_the_generic_adapter_rejects_other_formats_of_instants(field: str, written: Any) -> None:
    (result,) = dry_run("zendesk", zendesk(**{field: written}))
    assert result["unmapped"] == "unreadable"
    mapped = {"created_at": "opened_at", "updated_at": "seen_at"}[field]
    problem = f"`ticket.{field}` is not an instant such as 2026-06-08T12:00:00Z; add its format to `instants`, or"
    assert result["detail"].startswith(f"{mapped}: {problem}")


@pytest.mark.parametrize(
    "written",
    ["2026-06-08 10:00:07 UTC", "2026-06-08 15:30:07 +0530", "2026-06-08T10:00:07+00:00", "2026-06-08 12:00:07"],
)
def test_the_generic_adapter_reads_the_formats_of_ruby_and_local_times(
    written: str,
) -> None:
    body = json.loads(recorded("freshdesk", "1-open"))
    body["freshdesk_webhook"]["ticket_created_on"] = written
    there = shipped("freshdesk").model_copy(update={"zone": "Europe/Vienna"})
    (result,) = DryRun(there, "freshdesk", NOW).deliver(json.dumps(body).encode())
    assert result["ticket"]["opened_at"] == "2026-06-08T10:00:07.000000Z"


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("zendesk", zendesk(created_at=None)),
        ("zendesk", zendesk(created_at=" ")),
        ("halopsa", halopsa(dateoccurred="1900-01-01T00:00:00")),
        ("halopsa", {"event": "Ticket Updated", "ticket": halopsa(dateoccurred=None)}),
    ],
)
def test_a_ticket_without_an_opening_time_is_unmapped(provider: str, body: object) -> None:
    (result,) = dry_run(provider, body)
    assert result["unmapped"] == "missing_opening"


@pytest.mark.parametrize(
    ("provider", "body", "opened_at"),
    [
        ("zendesk", zendesk("1-created", created_at=None), "2026-06-08T12:00:07.000000Z"),
        (
            "halopsa",
            {"event": "New Ticket Logged", "ticket": halopsa(dateoccurred=None)},
            "2026-06-08T13:24:11.037111Z",
        ),
    ],
)
def test_a_creation_opens_the_ticket_at_its_own_instant(provider: str, body: object, opened_at: str) -> None:
    (result,) = dry_run(provider, body)
    assert (result["ticket"]["opened_at"], result["ticket"]["history"]) == (opened_at, False)
    assert "default_opened_at" not in result["flags"]


def test_an_update_before_the_creation_does_not_change_the_opening_time() -> None:
    late, result = dry_run("zendesk", zendesk(created_at=None), zendesk("1-created", created_at=None))
    assert (late["unmapped"], result["ticket"]["opened_at"]) == ("missing_opening", "2026-06-08T12:00:07.000000Z")


def test_a_tool_without_instants_needs_a_default_for_the_opening_time_which_is_flagged() -> None:
    (result,) = dry_run("freshdesk", recorded("freshdesk", "other-simple"))
    assert result["ticket"]["opened_at"] == "2026-06-08T18:00:00.000000Z"
    assert result["flags"] == ["default_services", "default_opened_at"]
    silent = shipped("freshdesk").defaults.model_copy(update={"opened_at": None})
    run = DryRun(shipped("freshdesk").model_copy(update={"defaults": silent}), "freshdesk", NOW)
    assert [one["unmapped"] for one in run.deliver(recorded("freshdesk", "other-simple"))] == ["missing_opening"]


DEFAULTS = {
    "severity": 4,
    "services": ["Not said"],
    "contact": {"name": "Night desk", "phone": "+1 555 0177"},
    "customer": {"id": "house", "name": "Everybody"},
    "summary": "Without a subject",
    "opened_at": "first_seen",
}


@cache
def desk() -> Integration:
    found = load_integrations(INTEGRATIONS.replace(" &desk", ""), "integrations.yaml").find("default", "desk")
    assert found is not None
    return found


@pytest.mark.rule("1.9")
@pytest.mark.parametrize(
    ("left_out", "default", "reason", "field", "expected"),
    [
        ("priority", "severity", "missing_severity", "severity", 4),
        ("services", "services", "missing_services", "affected_services", ["Not said"]),
        ("mail", "contact", "missing_contact", "contact", {"name": "Night desk", "phone": "+1 555 0177"}),
        ("customer", "customer", "missing_customer", "customer", {"id": "house", "name": "Everybody"}),
        ("subject", "summary", "missing_summary", "summary", "Without a subject"),
        ("opened", "opened_at", "missing_opening", "opened_at", "2026-06-08T10:20:00.000000Z"),
    ],
)
def test_a_missing_field_takes_its_default_with_a_flag_or_makes_the_ticket_unmapped(
    left_out: str, default: str, reason: str, field: str, expected: object
) -> None:
    def opened(defaults: dict[str, Any], **fields: Any) -> dict[str, Any]:
        there = desk().model_copy(update={"defaults": Defaults.model_validate_json(json.dumps(defaults))})
        body = json.dumps(payload(at="2026-06-08T10:20:00Z", **fields)).encode()
        (result,) = DryRun(there, "desk", NOW).deliver(body)
        return result

    whole = opened(DEFAULTS)
    assert whole["flags"] == []
    result = opened(DEFAULTS, **{left_out: None})
    assert (result["ticket"], result["flags"]) == (whole["ticket"] | {field: expected}, [f"default_{default}"])
    others = {name: value for name, value in DEFAULTS.items() if name != default}
    assert opened(others, **{left_out: None})["unmapped"] == reason
