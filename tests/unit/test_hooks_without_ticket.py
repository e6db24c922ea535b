"""Deliveries without a ticket: ignored with a reason, or unmapped with what to change. Never passed over silently."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from intake.domain.webhooks.dry_run import DryRun
from intake.domain.webhooks.no_ticket import is_deactivation, is_test_call
from support.webhook_recordings import recorded, shipped

NOW = datetime(2026, 6, 10, tzinfo=UTC)
FULL_OBJECT = "set the payload type of the webhook to *Full object*"
INQUIRE = "allow the callback's API member to read tickets"
FIELDS = "add the fields of the ticket that docs/integrations/autotask.md lists"
WHOLE = "configure the tool to send the whole ticket"


def deliver(provider: str, body: Any, **generic: Any) -> dict[str, Any]:
    """The only result of a delivery; `generic` changes the mapping."""
    integration = shipped(provider)
    if generic:
        assert integration.generic is not None
        integration = integration.model_copy(update={"generic": integration.generic.model_copy(update=generic)})
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    (result,) = DryRun(integration, provider, NOW).deliver(raw)
    return result


def connectwise(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded("connectwise", "2-responded"))
    return body | changes


def autotask(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded("autotask", "2-in-progress"))
    return body | changes


def halopsa(event: str | None = "Ticket Updated", **changes: Any) -> dict[str, Any]:
    named = {} if event is None else {"event": event}
    return {"id": "w-1", "object_id": 2187, "webhook_id": "w7", "timestamp": "2026-06-10T10:00:00Z"} | named | changes


def zendesk(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded("zendesk", "2-pending"))
    return body | changes


def jira(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded("jira", "2-waiting"))
    return body | changes


NOTHING: list[Any] = [None, {}, []]
WITHOUT_TICKET: list[tuple[str, list[Any], str]] = [
    ("connectwise", [connectwise(Entity=entity) for entity in (None, "", "null", "{}", '{"id": 48213}')], INQUIRE),
    ("connectwise", [connectwise(Type=None), connectwise(ID=0), connectwise(ID="\x00"), {}], INQUIRE),
    (
        "autotask",
        [autotask(Fields=None), autotask(Fields={}), autotask(EntityType=None), autotask(Id=None), {}],
        FIELDS,
    ),
    ("autotask", [[], [None], [autotask()]], FIELDS),
    ("connectwise", [[], [None], [connectwise()]], INQUIRE),
    ("halopsa", [[None], [1], [[]]], FULL_OBJECT),
    ("halopsa", [halopsa(event) for event in ("New Ticket Logged", "Ticket Updated", "Status Changed")], FULL_OBJECT),
    ("halopsa", [halopsa(event) for event in ("Agent Assigned", "New Note from Client", "", None)], FULL_OBJECT),
    ("halopsa", [halopsa(ticket=ticket) for ticket in (*NOTHING, "", {"id": None}, {"id": 2187})], FULL_OBJECT),
    ("halopsa", [halopsa("Ticket Updated by Contact", client={"id": 1})], FULL_OBJECT),
    ("halopsa", [[], [{}], {}, {"id": 2187}, {"ticket": None}], FULL_OBJECT),
    ("zendesk", [zendesk(detail=detail) for detail in (*NOTHING, {"id": "35436"})], WHOLE),
    ("zendesk", [{}, {"type": None}, {"ticket_id": 1}], WHOLE),
    ("jira", [jira(issue=issue) for issue in (*NOTHING, {"key": "ITSM-1"})], WHOLE),
    ("jira", [{}, {"issue": {"key": "ITSM-1"}}], WHOLE),
    ("freshdesk", [{"freshdesk_webhook": ticket} for ticket in (*NOTHING, {"ticket_id": 81})], WHOLE),
    ("freshdesk", [{}, [], {"ticket_id": 81}], WHOLE),
]


@pytest.mark.rule("1.14")
@pytest.mark.parametrize(
    ("provider", "body", "advice"), [(tool, body, advice) for tool, bodies, advice in WITHOUT_TICKET for body in bodies]
)
def test_a_delivery_without_its_ticket_is_unmapped_with_what_to_change(provider: str, body: Any, advice: str) -> None:
    result = deliver(provider, body)
    assert result["unmapped"] == "no_ticket"
    assert advice in result["detail"]


def test_the_event_without_a_ticket_is_named() -> None:
    detail = deliver("halopsa", halopsa("New Ticket Logged"))["detail"]
    assert detail.startswith(
        "ticket: the event `New Ticket Logged` contains no ticket; in HaloPSA, set the payload type"
    )


@pytest.mark.parametrize(
    ("provider", "body", "about"),
    [
        *(
            ("connectwise", connectwise(Type=kind), kind)
            for kind in ("contact", "configuration", "time", "opportunity")
        ),
        *(("autotask", autotask(EntityType=kind), kind) for kind in ("TicketNote", "Contact", "ConfigurationItem")),
        *(("halopsa", halopsa(event), event) for event in ("Client Updated", "New Asset", "Invoices Created")),
        ("halopsa", [halopsa("Client Updated"), halopsa("Site Created")], "Client Updated"),
        ("zendesk", zendesk(type="zen:event-type:user.created"), "zen:event-type:user.created"),
        ("zendesk", zendesk(type="zen:event-type:user.suspended_changed"), "zen:event-type:user.suspended_changed"),
        ("jira", jira(webhookEvent="comment_created"), "comment_created"),
        ("jira", jira(webhookEvent="project_deleted"), "project_deleted"),
    ],
)
def test_another_record_is_ignored_with_its_name(provider: str, body: Any, about: str) -> None:
    assert deliver(provider, body) == {"ignored": "not_a_ticket", "detail": about}


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("connectwise", {"Action": "test", "Type": "ticket", "ID": 0, "Entity": None}),
        ("halopsa", halopsa("Webhook Test")),
        ("halopsa", [halopsa("test")]),
        ("zendesk", {"type": "zen:event-type:webhook.test"}),
        ("zendesk", {"type": "ping"}),
        ("zendesk", {"webhookEvent": "ping"}),
        ("jira", {"webhookEvent": "ping"}),
        ("freshdesk", {"event_type": "url_verification"}),
        ("freshdesk", {"challenge": "3eZbrw1aB"}),
    ],
)
def test_a_test_call_is_ignored(provider: str, body: Any) -> None:
    assert deliver(provider, body)["ignored"] == "test_call"


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("connectwise", {"Action": "callback_disabled", "Type": "ticket"}),
        ("autotask", {"Action": "Deactivated", "Guid": "g", "EntityType": "Ticket", "Id": None}),
        ("autotask", {"Action": "Deactivated", "Guid": "g"}),
        ("autotask", {"Action": "Delete", "EntityType": "TicketWebhook Deactivated"}),
        ("halopsa", halopsa("Webhook Disabled")),
        ("zendesk", {"type": "zen:event-type:webhook.paused"}),
        ("jira", {"webhookEvent": "webhook_deleted"}),
        ("freshdesk", {"lifecycleEvent": "subscriptionRemoved"}),
    ],
)
def test_a_notice_that_the_webhook_is_switched_off_is_unmapped_as_such(provider: str, body: Any) -> None:
    result = deliver(provider, body)
    assert result["unmapped"] == "deactivated"
    assert "its tickets no longer arrive" in result["detail"]


TOOLS = ("connectwise", "autotask", "halopsa", "zendesk", "jira", "freshdesk")
NOTICES: list[Any] = [
    {"message": "Webhook disabled after repeated failures"},
    {"data": {"text": "Your webhook https://tocsin.example/v1/hooks/x has been turned off: it failed 20 times"}},
    [{"error": {"code": "WEBHOOK_SUSPENDED"}}],
    {"webhook": {"status": "inactive"}},
    {"webhooks": [{"id": 1, "state": "DISABLED_FAILURES"}]},
    {"subscription": {"state": "disabled"}},
    {"webhookStatus": "paused"},
    {"hook": {"active": False}},
    {"webhook": {"is_disabled": True}},
    {"type": "webhook", "status": "expired"},
    {"type": "notification", "message": "The webhook was deactivated"},
    {"type": "notification", "webhook": {"status": "inactive"}},
]
NO_NOTICES: list[Any] = [
    {"message": "Your password was disabled"},
    {"user": {"status": "suspended"}, "status": "deleted"},
    {"webhook": {"name": "Deleted tickets", "events": ["ticket.deleted"], "active": True, "disabled": False}},
    {"webhook": {"url": "https://webhook.example/disabled"}},
    {"text": "The webhook is disabled. " * 20},
    {"webhook_id": "w7", "status": "deleted"},
]


@pytest.mark.parametrize("provider", TOOLS)
def test_a_notice_that_the_webhook_is_off_counts_wherever_the_tool_writes_it(provider: str) -> None:
    for body in NOTICES:
        assert deliver(provider, body)["unmapped"] == "deactivated", body
    for body in NO_NOTICES:
        assert deliver(provider, body).get("unmapped") != "deactivated", body


def test_texts_inside_another_record_are_not_a_notice() -> None:
    for body in (
        zendesk(type="zen:event-type:user.created", detail={"notes": "webhook disabled"}),
        jira(webhookEvent="comment_created", comment={"body": "The webhook is disabled"}),
    ):
        assert deliver("zendesk" if "detail" in body else "jira", body)["ignored"] == "not_a_ticket"


def test_an_event_that_the_mapping_does_not_read_says_what_to_do() -> None:
    for provider in ("zendesk", "jira"):
        detail = deliver(provider, {})["detail"]
        assert detail.startswith("when: the event is not one that the mapping reads (`when` is false), and `about` (")
        assert "unsubscribe the event in the tool" in detail


def test_words_of_a_ticket_are_not_taken_for_a_notice() -> None:
    for event in ("Ticket Validation Failed", "user.suspended_changed", "contact deleted", "Agent Disabled", "issue"):
        assert not is_test_call(event)
        assert not is_deactivation(event)
    unreadable = {"event": "webhook_disabled", "freshdesk_webhook": {"ticket_id": 1, "ticket_status": {}}}
    assert deliver("freshdesk", unreadable)["unmapped"] == "unreadable"
    for name, event in (("1-open", "ping"), ("3-resolved", "webhook_disabled")):
        body = json.loads(recorded("freshdesk", name)) | {"event": event}
        assert deliver("freshdesk", body)["ticket"]["external_id"]


def test_a_ticket_without_its_state_does_not_affect_the_others_of_its_delivery() -> None:
    good = json.loads(recorded("halopsa", "1-new"))
    results = DryRun(shipped("halopsa"), "halopsa", NOW).deliver(
        json.dumps([good, halopsa("Client Updated"), halopsa(), {"id": 5}]).encode()
    )
    assert [result.get("unmapped", "opened") for result in results] == ["opened", "no_ticket", "no_ticket"]


def test_a_deletion_or_an_assignee_is_enough() -> None:
    assert deliver("connectwise", connectwise(Action="deleted", Entity=None))["ignored"] == "deleted"
    assert deliver("autotask", autotask(Fields={"AssignedResourceID": 5}))["unmapped"] == "missing_opening"


def test_a_generic_mapping_never_hides_a_delivery() -> None:
    ticket = recorded("jira", "1-created")
    never = {"when": "kind == 'ticket'"}
    assert deliver("jira", ticket, **never) == {"ignored": "not_a_ticket", "detail": "jira:issue_created"}
    assert deliver("jira", ticket, **never, about=None)["detail"] == "`when` is false"
    assert deliver("jira", ticket, **never, about="kind")["unmapped"] == "no_ticket"
    filtered = deliver("jira", ticket, tickets="[issue][?kind == 'ticket']")
    assert filtered["detail"].startswith(
        "tickets: `[issue][?kind == 'ticket']` finds no ticket; configure the tool to send"
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "body: is empty; configure the tool to send the ticket as JSON"),
        (b"\xef\xbb\xbf \n", "body: is empty; "),
        (b"payload=%7B%22id%22%3A1%7D", "body: is a form; choose JSON as the content type in the tool"),
        (b"freshdesk_webhook[ticket_id]=81&x=y", "body: is a form; "),
        (b"<?xml version='1.0'?><ticket/>", "body: is XML or HTML; "),
        (b"--x\r\nContent-Disposition: form-data\r\n", "body: is a form with several parts; "),
        (b"\x1f\x8b\x08\x00", "body: is compressed; "),
        ('{"id": 1}'.encode("utf-16"), "body: is UTF-16 text; "),
        (b'{"id": "\xff"}', "body: is not UTF-8 (byte 9); "),
        (b'{"id": "a "b" c"}', "body: is not JSON (line 1, column 12); configure the tool to escape its texts"),
        (b"{'id': 1}", "body: is not JSON (line 1, column 2); "),
        (b'"{\\"id\\": 1}"', "body: must be a JSON object or a list; "),
        (b'{"id": 1, "id": 2}', "body: has the key `id` more than once"),
        (
            b'{"a":' * 40 + b"1" + b"}" * 40,
            "a: is nested more than 32 deep; configure the tool to send less nested JSON",
        ),
    ],
)
def test_a_body_that_is_not_json_says_what_it_is(body: bytes, detail: str) -> None:
    for provider in ("connectwise", "autotask", "halopsa", "zendesk", "freshdesk", "jira"):
        result = deliver(provider, body)
        assert result["unmapped"] == "unreadable"
        assert result["detail"].startswith(detail)


def test_a_byte_order_mark_and_unescaped_line_breaks_are_accepted() -> None:
    body = recorded("freshdesk", "1-open").replace(b'"Invoices', b'"Line one\nline two\tInvoices')
    assert b"Line one" in body
    assert deliver("freshdesk", b"\xef\xbb\xbf" + body)["ticket"]["external_id"]
