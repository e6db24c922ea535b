"""The query parameters of the ticket list: what is rejected, and with which message."""

import pytest
from intake.api.list_query import TicketListQuery
from pydantic import ValidationError
from tocsin.validation import field_errors

NOON = "2026-06-08T12:00:00Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("severity", value) for value in ("0", "5", "true", "1.0", "", "01")],
        *[("limit", value) for value in ("0", "501", "x", "+5", "\u0661", "0005")],
        ("state", "new"),
        *[("cursor", value) for value in ("abc", "", "0", "9" * 19)],
        *[("customer", value) for value in ("", " ", "\x00")],
        *[("text", value) for value in ("", " ", "-+-", "\x00", "x" * 201)],
        *[("opened_from", value) for value in ("", "now", "2026-06-08")],
        *[("opened_to", value) for value in ("2026-06-08T12:00:00", "0001-01-01T00:00:00Z")],
    ],
)
def test_an_invalid_parameter_is_named(field: str, value: str) -> None:
    with pytest.raises(ValidationError) as rejected:
        TicketListQuery.model_validate({field: value})
    assert [error.field for error in field_errors(rejected.value.errors())] == [field]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"customer": ""}, "must not be blank"),
        ({"text": "x" * 201}, "must have at most 200 characters"),
        ({"text": "-"}, "must contain a letter or a digit"),
        ({"opened_from": NOON, "opened_to": NOON}, "must lie after opened_from"),
    ],
)
def test_the_message_says_what_is_wrong(query: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError) as rejected:
        TicketListQuery.model_validate(query)
    assert [error.message for error in field_errors(rejected.value.errors())] == [message]


def test_a_valid_query_becomes_a_filter() -> None:
    query = TicketListQuery.model_validate({"severity": "2", "state": "closed", "text": "e-mail  SR-1", "cursor": "42"})
    wanted = query.filter("acme")
    assert (wanted.tenant, wanted.severity, wanted.is_open, wanted.before) == ("acme", 2, False, 42)
    assert list(wanted.words) == ["e", "mail", "SR", "1"]
    assert query.limit == 100
