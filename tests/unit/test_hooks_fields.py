"""Every field through every tool: mailbox, IT contact, start, impact, category and assignee of a ticket."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from intake.domain.webhooks.config.integrations import Integration, ItContacts
from intake.domain.webhooks.dry_run import DryRun
from pydantic import ValidationError
from support.webhook_recordings import recorded, shipped

NOW = datetime(2026, 6, 8, 18, tzinfo=UTC)
FIRST = {
    "connectwise": "1-added",
    "autotask": "1-create",
    "halopsa": "1-new",
    "zendesk": "1-created",
    "freshdesk": "1-open",
    "jira": "1-created",
}
WORDS: Mapping[str, Any] = {
    "types": {"Joiner": "onboarding"},
    "mailboxes": {"Escalations@": "escalations"},
    "it_contact_words": {"IT point of contact": True, "true": True},
    "impact": {
        "business_risk": {"Serious": "major"},
        "work_stoppage": {"Everybody": "full"},
        "users_affected_percent": {"One department": 20},
        "workaround": {"No way": "none"},
    },
    "assignees": {"ruth": {"name": "Ruth Meyer", "email": "ruth@betterworldtech.com"}},
}
"""What the words of the tests mean."""

FIELDS: Mapping[str, Any] = {
    "type": "Joiner",
    "via": "escalations@",
    "it_contact": "IT point of contact",
    "starts_at": "2026-07-01T09:00:00Z",
    "business_risk": "serious",
    "work_stoppage": "Everybody",
    "users_affected_percent": "One department",
    "workaround": "No way",
    "assignee_name": "ruth",
}
"""Each field as a tool states it; with WORDS it gives TICKET."""

TICKET = {
    "category": "onboarding",
    "via": "escalations",
    "sender_is_it_contact": True,
    "starts_at": "2026-07-01T09:00:00Z",
    "impact": {
        "business_risk": "major",
        "work_stoppage": "full",
        "users_affected_percent": 20.0,
        "workaround": "none",
    },
    "assignee": {"name": "Ruth Meyer", "email": "ruth@betterworldtech.com"},
}


def integration(provider: str, **changed: Any) -> Integration:
    """The shipped integration with other settings."""
    written = json.loads(shipped(provider).model_dump_json(exclude_none=True))
    return Integration.model_validate_json(json.dumps(written | changed))


def mapped(provider: str, **changed: Any) -> Integration:
    """The shipped integration with WORDS, and every field of FIELDS read from the tool's field `Our FIELD`."""
    if provider in ("connectwise", "autotask", "halopsa"):
        return integration(provider, **WORDS, fields={field: f"Our {field}" for field in FIELDS}, **changed)
    generic = shipped(provider).generic
    assert generic is not None
    place = {"zendesk": "ticket.custom", "freshdesk": "custom", "jira": "issue.fields.custom"}[provider]
    expressions = {field: f'{place}."Our {field}"' for field in FIELDS}
    own = json.loads(generic.model_dump_json(exclude_none=True)) | expressions
    own.pop("assignee_id", None)
    return integration(provider, **WORDS, generic=own, **changed)


def delivery(provider: str, fields: Mapping[str, Any], name: str | None = None, **standard: Any) -> bytes:
    """A recorded delivery with these custom fields where the tool has them, and other values of standard fields."""
    body = json.loads(recorded(provider, name or FIRST[provider]))
    custom = {f"Our {field}": value for field, value in fields.items()}
    if provider == "connectwise":
        listed = [{"id": 1, "caption": label, "type": "Text", "value": value} for label, value in custom.items()]
        body["Entity"] = json.dumps(json.loads(body["Entity"]) | {"customFields": listed} | standard)
    elif provider == "autotask":
        body["Fields"] |= custom | standard
    elif provider == "halopsa":
        body |= {"customfields": [{"id": 1, "label": label, "value": each} for label, each in custom.items()]}
        body |= standard
    else:
        ticket = {"zendesk": body.get("detail"), "freshdesk": body.get("freshdesk_webhook")}.get(provider)
        ticket = ticket if ticket is not None else body["issue"]["fields"]
        ticket |= {"custom": custom} | standard
    return json.dumps(body).encode()


def result(there: Integration, provider: str, *bodies: bytes, it_contacts: ItContacts | None = None) -> Any:
    """The result of the last of these deliveries."""
    run = DryRun(there, provider, NOW, it_contacts or ItContacts())
    return [each for body in bodies for each in run.deliver(body)][-1]


@pytest.mark.parametrize("provider", FIRST)
@pytest.mark.parametrize("field", TICKET)
def test_each_field_of_a_ticket_is_mapped(provider: str, field: str) -> None:
    whole = result(mapped(provider), provider, delivery(provider, FIELDS))
    assert whole["ticket"][field] == TICKET[field], whole


@pytest.mark.parametrize("provider", FIRST)
def test_a_field_that_the_tool_leaves_out_is_not_stated(provider: str) -> None:
    found = result(mapped(provider), provider, delivery(provider, {}))
    assert {"via", "starts_at", "impact"} & found["ticket"].keys() <= {"via"}
    assert (found["ticket"]["via"], found["ticket"]["sender_is_it_contact"]) == ("support", False)
    assert any(line.startswith("starts_at: ") for line in found["found_nothing"])


@pytest.mark.parametrize("provider", FIRST)
def test_a_word_without_a_meaning_is_not_stated(provider: str) -> None:
    odd = dict.fromkeys(FIELDS, "Something else")
    whole = result(mapped(provider), provider, delivery(provider, odd))
    assert {"type: Something else", "via: Something else", "workaround: Something else"} <= set(whole["not_listed"])
    assert any(line.startswith("starts_at: ") for line in whole["found_nothing"])
    found = whole["ticket"]
    assert (found["via"], found["sender_is_it_contact"], "starts_at" in found) == ("support", False, False)
    assert ("impact" in found, found["assignee"]) == (False, {"name": "Something else"})


@pytest.mark.parametrize("provider", FIRST)
@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("it_contact", True, ("sender_is_it_contact", True)),
        ("it_contact", False, ("sender_is_it_contact", False)),
        ("users_affected_percent", 40, ("impact", {"users_affected_percent": 40.0})),
        ("users_affected_percent", "12.5 %", ("impact", {"users_affected_percent": 12.5})),
        ("users_affected_percent", 140, ("impact", None)),
        ("starts_at", "2026-07-01", ("starts_at", "2026-07-01T00:00:00Z")),
    ],
)
def test_a_value_of_another_type(provider: str, field: str, value: Any, expected: tuple[str, Any]) -> None:
    found = result(mapped(provider), provider, delivery(provider, {field: value}))["ticket"]
    assert found.get(expected[0]) == expected[1]


OWN_ASSIGNEES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "connectwise": ({"owner": {"id": 7, "identifier": "rmeyer", "name": "R. Meyer"}}, {"owner": None}),
    "autotask": ({"AssignedResourceID": 29682885}, {"AssignedResourceID": None}),
    "halopsa": ({"agent_id": 5, "agent_name": "R. Meyer"}, {"agent_id": 1, "agent_name": "Unassigned"}),
    "zendesk": ({"assignee_id": "8447"}, {"assignee_id": None}),
    "freshdesk": ({"ticket_agent_name": "R. Meyer", "ticket_agent_email": "r@bwt.com"}, {"ticket_agent_name": ""}),
    "jira": ({"assignee": {"displayName": "R. Meyer", "emailAddress": "r@bwt.com"}}, {"assignee": None}),
}
"""How each tool states its assignee itself, and that there is none."""


@pytest.mark.parametrize("provider", FIRST)
def test_the_tools_own_assignee(provider: str) -> None:
    somebody, nobody = OWN_ASSIGNEES[provider]
    found = result(shipped(provider), provider, delivery(provider, {}, **somebody))["ticket"]["assignee"]
    numbers = {"autotask": "29682885", "zendesk": "8447"}
    assert found["name"] == numbers.get(provider, "R. Meyer")
    assert found.get("email") == ("r@bwt.com" if provider in ("freshdesk", "jira") else None)
    assert "assignee" not in result(shipped(provider), provider, delivery(provider, {}, **nobody))["ticket"]


@pytest.mark.parametrize("provider", FIRST)
def test_people_are_listed_by_the_tools_name_or_number(provider: str) -> None:
    somebody, _ = OWN_ASSIGNEES[provider]
    ruth = {"name": "Ruth Meyer", "email": "ruth@bwt.com"}
    word = {"connectwise": "RMeyer", "autotask": "29682885", "halopsa": "5", "zendesk": "8447"}.get(
        provider, "r. meyer"
    )
    there = integration(provider, assignees={word: ruth})
    assert result(there, provider, delivery(provider, {}, **somebody))["ticket"]["assignee"] == ruth


@pytest.mark.parametrize("provider", FIRST)
def test_a_later_update_changes_the_assignee_and_the_impact(provider: str) -> None:
    somebody, nobody = OWN_ASSIGNEES[provider]
    fields = {"work_stoppage": "Everybody"}
    there = mapped(provider).model_copy(update={"assignees": {}})
    if provider in ("connectwise", "autotask", "halopsa"):
        there = there.model_copy(update={"fields": {"work_stoppage": "Our work_stoppage"}})
    else:
        assert there.generic is not None
        own = shipped(provider).generic
        assert own is not None
        names = ("assignee_id", "assignee_name", "assignee_email")
        there = there.model_copy(
            update={"generic": there.generic.model_copy(update={n: getattr(own, n) for n in names})}
        )
    first = delivery(provider, {}, **nobody)
    later = {"connectwise": "2-responded", "autotask": "2-in-progress", "halopsa": "2-responded"}
    second = later.get(provider) or {"zendesk": "2-pending", "freshdesk": "2-pending", "jira": "2-waiting"}[provider]
    changed = delivery(provider, fields, second, **somebody)
    events = result(there, provider, first, changed)["events"]
    found = {event["type"]: event for event in events}
    assert found["assessed"]["impact"] == {"work_stoppage": "full"}
    assert found["assigned"]["assignee"]["name"]
    assert found["assigned"]["occurred_at"] == found["assessed"]["occurred_at"]
    assert result(there, provider, first, changed, changed)["events"] == []


@pytest.mark.rule("6.23")
@pytest.mark.parametrize("provider", ["connectwise", "halopsa", "freshdesk", "jira"])
def test_an_it_contact_is_listed_by_name_or_address_for_a_customer(provider: str) -> None:
    body = delivery(provider, {})
    ticket = result(shipped(provider), provider, body)["ticket"]
    customer, contact = ticket["customer"]["id"], ticket["contact"]
    for word in (contact["name"].upper(), contact["email"].upper()):
        listed = ItContacts({customer: (word,)})
        assert result(shipped(provider), provider, body, it_contacts=listed)["ticket"]["sender_is_it_contact"]
        other = ItContacts({"another": (word,), customer: ("somebody",)})
        assert not result(shipped(provider), provider, body, it_contacts=other)["ticket"]["sender_is_it_contact"]


def test_a_standard_field_is_named_by_its_path_and_a_wrong_one_is_unmapped() -> None:
    there = integration(
        "connectwise",
        fields={"work_stoppage": "severity", "assignee_name": "team.name"},
        impact={"work_stoppage": {"Medium": "some"}},
    )
    ticket = result(there, "connectwise", delivery("connectwise", {}))["ticket"]
    assert (ticket["impact"], ticket["assignee"]["name"]) == ({"work_stoppage": "some"}, "Service Team")
    wrong = integration("connectwise", fields={"assignee_name": "team"})
    found = result(wrong, "connectwise", delivery("connectwise", {}))
    assert (found["unmapped"], found["detail"][:24]) == ("unreadable", "team: is an object, not ")


def test_the_value_of_a_list_field_of_halopsa_is_its_text() -> None:
    body = json.loads(delivery("halopsa", {}))
    body["customfields"] = [
        {"id": 3, "name": "CFRisk", "label": "Business risk", "value": 2, "display": "Serious"},
        {"id": 4, "name": "CFStart", "label": "Start", "value": "2026-07-01T08:00:00", "display": "01/07/2026"},
    ]
    there = integration("halopsa", fields={"business_risk": "CFRisk", "starts_at": "start"}, impact=WORDS["impact"])
    ticket = result(there, "halopsa", json.dumps(body).encode())["ticket"]
    assert (ticket["impact"], ticket["starts_at"]) == ({"business_risk": "major"}, "2026-07-01T08:00:00Z")


def test_autotasks_user_defined_fields_may_give_the_contact() -> None:
    there = integration("autotask", fields={"contact_name": "Our who", "contact_email": "Our mail"})
    found = result(there, "autotask", delivery("autotask", {"who": "Ada", "mail": "ada@acme.example"}))
    assert (found["ticket"]["contact"], "default_contact" in found["flags"]) == (
        {"name": "Ada", "email": "ada@acme.example"},
        False,
    )


@pytest.mark.parametrize("provider", FIRST)
def test_an_unusable_address_of_an_assignee_is_left_out(provider: str) -> None:
    body = delivery(provider, {"assignee_name": "Lena Vos", "assignee_email": "lena at desk"})
    assert result(mapped(provider), provider, body)["ticket"]["assignee"] == {"name": "Lena Vos"}


def test_an_unusable_address_in_the_configuration_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"(?s)assignees.*email address"):
        integration("jira", assignees={"ruth": {"name": "Ruth", "email": "ruth at desk"}})
