"""The generic adapter: a wrong expression is an error, not a field that the tool does not send."""

import pytest
from intake.domain.webhooks.adapters import generic
from intake.domain.webhooks.config.integrations import Integration
from intake.errors import UnreadableError
from support.webhook_recordings import recorded, shipped


def jira(**expressions: str) -> Integration:
    shipped_one = shipped("jira")
    assert shipped_one.generic is not None
    return shipped_one.model_copy(update={"generic": shipped_one.generic.model_copy(update=expressions)})


def test_an_expression_that_finds_another_type_than_text_is_an_error() -> None:
    body = recorded("jira", "1-created")
    for field, expression, kind in (
        ("status", "issue.fields.status", "an object"),
        ("priority", "issue.fields.components", "a list"),
        ("services", "issue.fields.components", "an object"),
        ("actor", "user.active", "a boolean"),
        ("key", "issue", "an object"),
    ):
        with pytest.raises(UnreadableError) as error:
            generic.read(body, jira(**{field: expression}))
        expected = f"{field}: `{expression}` is {kind}, not text or a number; correct the expression"
        assert str(error.value).startswith(expected)


def test_expressions_that_find_nothing_are_listed() -> None:
    (good,) = generic.read(recorded("jira", "1-created"), jira()).snapshots
    unassigned = "assignee_email: issue.fields.assignee.emailAddress"
    assert good.found_nothing == (unassigned, "resolved_at: issue.fields.resolutiondate")
    (wrong,) = generic.read(recorded("jira", "1-created"), jira(status="issue.status.name")).snapshots
    assert "status: issue.status.name" in wrong.found_nothing


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9" * 5000, "external_id: `ticket.id` is too large a number; "),
        (str(1 << 63), "external_id: `ticket.id` is too large a number; "),
        ('{"a": 1, "a": 2}', "external_id: `ticket.id` has the key `a` more than once; "),
        ("null", "ticket.id: is missing"),
    ],
)
def test_the_error_of_an_invalid_id_says_why(value: str, expected: str) -> None:
    body = recorded("zendesk", "1-created").decode()
    assert '"id":"35436"' in body
    with pytest.raises(UnreadableError) as error:
        generic.read(body.replace('"id":"35436"', f'"id":{value}').encode(), shipped("zendesk"))
    assert str(error.value).startswith(expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id": 1, "id": 2}', "body: has the key `id` more than once"),
        (b"[" * 100_000, "body: is nested more than 32 deep; configure the tool to send JSON"),
        (
            b'{"a": "b" c}',
            "body: is not JSON (line 1, column 11); configure the tool to escape its texts, or to omit the",
        ),
        (b"[NaN]", "body: is not JSON; configure the tool to send JSON"),
    ],
)
def test_the_error_of_an_invalid_body_says_why(body: bytes, expected: str) -> None:
    with pytest.raises(UnreadableError) as error:
        generic.read(body, shipped("jira"))
    assert str(error.value).startswith(expected)
