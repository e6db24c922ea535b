"""The generic adapter: a wrong expression is told, not taken for a tool that says nothing."""

import json
from typing import Any

import pytest
from intake.domain.webhooks.adapters import generic
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.snapshot import UnreadableError
from support.webhook_recordings import recorded, shipped


def jira(**expressions: str) -> Integration:
    shipped_one = shipped("jira")
    assert shipped_one.generic is not None
    return shipped_one.model_copy(update={"generic": shipped_one.generic.model_copy(update=expressions)})


def test_an_expression_that_meets_an_object_or_a_list_where_a_word_is_wanted_is_told() -> None:
    body = recorded("jira", "1-created")
    for field, expression, kind in (
        ("status", "issue.fields.status", "an object"),
        ("priority", "issue.fields.components", "a list"),
        ("services", "issue.fields.components", "an object"),
        ("actor", "user.active", "true or false"),
        ("key", "issue", "an object"),
    ):
        with pytest.raises(UnreadableError) as problem:
            generic.read(body, jira(**{field: expression}))
        told = f"{field}: what `{expression}` finds is {kind}, no text and no number; mend the expression"
        assert str(problem.value).startswith(told)


def test_an_expression_that_finds_nothing_is_known() -> None:
    (good,) = generic.read(recorded("jira", "1-created"), jira()).sightings
    assert good.found_nothing == ("resolved_at: issue.fields.resolutiondate",)
    (wrong,) = generic.read(recorded("jira", "1-created"), jira(status="issue.status.name")).sightings
    assert "status: issue.status.name" in wrong.found_nothing


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("9" * 5000, "external_id: what `ticket.id` finds is too large a number; "),
        (str(1 << 63), "external_id: what `ticket.id` finds is too large a number; "),
        ('{"a": 1, "a": 2}', "external_id: what `ticket.id` finds gives `a` more than once; "),
        ("null", "ticket.id: is missing; "),
    ],
)
def test_an_id_that_is_none_is_told_as_what_it_is(written: str, told: str) -> None:
    body = recorded("zendesk", "1-created").decode()
    assert '"id":"35436"' in body
    with pytest.raises(UnreadableError) as problem:
        generic.read(body.replace('"id":"35436"', f'"id":{written}').encode(), shipped("zendesk"))
    assert str(problem.value).startswith(told)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"id": 1, "id": 2}', "body: gives `id` more than once; have the tool send it once"),
        (b"[" * 100_000, "body: is nested more than 32 deep; have the tool send plain JSON"),
        (b"{", "body: is not JSON; have the tool send plain JSON"),
    ],
)
@pytest.mark.parametrize("provider", ["zendesk", "jira"])
def test_a_body_that_is_none_is_told_as_what_it_is(body: bytes, told: str, provider: str) -> None:
    with pytest.raises(UnreadableError) as problem:
        generic.read(body, shipped(provider))
    assert str(problem.value) == told


@pytest.mark.parametrize("provider", ["zendesk", "jira"])
@pytest.mark.parametrize("body", [{}, {"type": "ping"}, {"webhookEvent": "ping"}, {"type": None}])
def test_a_test_of_the_tool_is_no_ticket(provider: str, body: Any) -> None:
    assert generic.read(json.dumps(body).encode(), shipped(provider)).tickets == ()
