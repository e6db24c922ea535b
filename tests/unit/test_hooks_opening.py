"""When a ticket was opened: as the tool says, never made up; a ticket of an age that nobody knows opens nothing."""

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


def tried(provider: str, *bodies: object) -> list[dict[str, Any]]:
    """What becomes of deliveries that come now, to an integration that is a day old."""
    integration = shipped(provider).model_copy(update={"live_since": NOW - timedelta(days=1)})
    trial = DryRun(integration, provider, NOW)
    raw = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    return [told for body in raw for told in trial.deliver(body)]


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
        "2026-06-08 UTC",
        "2026-06-08 -0500",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-06-08T12:00:60Z",
        7,
        [],
    ],
)
@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_what_the_generic_adapter_cannot_read_as_an_instant_is_unmapped_by_its_name(field: str, written: Any) -> None:
    (told,) = tried("zendesk", zendesk(**{field: written}))
    assert told["unmapped"] == "unreadable"
    ours = {"created_at": "opened_at", "updated_at": "seen_at"}[field]
    expected = (
        f"{ours}: what `ticket.{field}` finds is no instant from 1990 to 2100; say in `instants` how it is written"
    )
    assert told["detail"] == expected


@pytest.mark.parametrize(
    "written",
    ["2026-06-08 10:00:07 UTC", "2026-06-08 15:30:07 +0530", "2026-06-08T10:00:07+00:00", "2026-06-08 12:00:07"],
)
def test_the_generic_adapter_reads_instants_as_ruby_writes_them_and_those_without_an_offset_in_its_zone(
    written: str,
) -> None:
    body = json.loads(recorded("freshdesk", "1-open"))
    body["freshdesk_webhook"]["ticket_created_on"] = written
    there = shipped("freshdesk").model_copy(update={"zone": "Europe/Vienna"})
    (told,) = DryRun(there, "freshdesk", NOW).deliver(json.dumps(body).encode())
    assert told["ticket"]["opened_at"] == "2026-06-08T10:00:07.000000Z"


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("zendesk", zendesk(created_at=None)),
        ("zendesk", zendesk(created_at=" ")),
        ("halopsa", halopsa(dateoccurred="1900-01-01T00:00:00")),
        ("halopsa", {"event": "Ticket Updated", "ticket": halopsa(dateoccurred=None)}),
    ],
)
def test_a_ticket_whose_opening_nobody_tells_may_be_years_old(provider: str, body: object) -> None:
    (told,) = tried(provider, body)
    assert told["unmapped"] == "missing_opening"


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
def test_a_delivery_that_says_that_it_was_created_just_now_opens_it_at_its_own_instant(
    provider: str, body: object, opened_at: str
) -> None:
    (told,) = tried(provider, body)
    assert (told["ticket"]["opened_at"], told["ticket"]["history"]) == (opened_at, False)
    assert "default_opened_at" not in told["flags"]


def test_the_creation_opens_at_its_instant_though_an_update_overtook_it() -> None:
    late, told = tried("zendesk", zendesk(created_at=None), zendesk("1-created", created_at=None))
    assert (late["unmapped"], told["ticket"]["opened_at"]) == ("missing_opening", "2026-06-08T12:00:07.000000Z")


def test_where_a_tool_tells_no_instants_the_mapping_must_say_so_and_the_ticket_says_it_too() -> None:
    (told,) = tried("freshdesk", recorded("freshdesk", "other-simple"))
    assert told["ticket"]["opened_at"] == "2026-06-08T18:00:00.000000Z"
    assert told["flags"] == ["default_services", "default_opened_at"]
    silent = shipped("freshdesk").defaults.model_copy(update={"opened_at": None})
    trial = DryRun(shipped("freshdesk").model_copy(update={"defaults": silent}), "freshdesk", NOW)
    assert [one["unmapped"] for one in trial.deliver(recorded("freshdesk", "other-simple"))] == ["missing_opening"]


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
def test_what_a_tool_leaves_out_is_the_very_default_and_flagged_or_the_ticket_is_unmapped(
    left_out: str, default: str, reason: str, field: str, expected: object
) -> None:
    def opened(defaults: dict[str, Any], **fields: Any) -> dict[str, Any]:
        there = desk().model_copy(update={"defaults": Defaults.model_validate_json(json.dumps(defaults))})
        body = json.dumps(payload(at="2026-06-08T10:20:00Z", **fields)).encode()
        (told,) = DryRun(there, "desk", NOW).deliver(body)
        return told

    whole = opened(DEFAULTS)
    assert whole["flags"] == []
    told = opened(DEFAULTS, **{left_out: None})
    assert (told["ticket"], told["flags"]) == (whole["ticket"] | {field: expected}, [f"default_{default}"])
    others = {name: value for name, value in DEFAULTS.items() if name != default}
    assert opened(others, **{left_out: None})["unmapped"] == reason
