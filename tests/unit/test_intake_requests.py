"""What may be posted: every wrong field by name, absent = null = blank, instants with their zone."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.json_parsing import DuplicateKey, HugeInteger
from intake.domain.ticket_request import BatchItemRequest, BatchRequest, EventRequest, TicketRequest, validate_request
from pydantic import ValidationError

TICKET: dict[str, Any] = {
    "source": "connectwise",
    "external_id": "SR-1042",
    "severity": 1,
    "summary": "Mail is down",
    "affected_services": ["Email"],
    "contact": {"name": "Ada", "email": "ada@acme.example"},
    "customer": {"id": "acme", "name": "Acme"},
}
EVENT = {"type": "responded", "actor": "Bob"}


def wrong(model: type[Any], body: object) -> list[str]:
    """The fields that the model refuses, as dotted paths."""
    with pytest.raises(ValidationError) as refused:
        validate_request(model, body)
    return sorted(".".join(str(part) for part in error["loc"]) for error in refused.value.errors())


def test_a_number_without_a_fraction_is_whole() -> None:
    assert (
        validate_request(TicketRequest, {**TICKET, "severity": 1.0}).digest()
        == validate_request(TicketRequest, TICKET).digest()
    )


def test_an_empty_ticket_is_told_every_missing_field() -> None:
    missing = ["affected_services", "contact", "customer", "external_id", "severity", "source", "summary"]
    assert wrong(TicketRequest, {}) == missing


def test_missing_and_wrong_fields_are_named_at_once() -> None:
    body = {**TICKET, "severity": 5, "contact": {}, "summary": " ", "impact": {"work_stoppage": "total"}}
    assert wrong(TicketRequest, body) == [
        "contact.email",
        "contact.name",
        "impact.work_stoppage",
        "severity",
        "summary",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("severity", True),
        ("severity", "1"),
        ("severity", 0),
        ("severity", 1.5),
        ("severity", 10**400),
        ("severity", HugeInteger()),
        ("impact", HugeInteger()),
        ("source", 7),
        ("summary", "x" * 10_001),
        ("summary", "a\x00b"),
        ("summary", "\ud800"),
        ("external_id", "\t \n"),
        ("affected_services", []),
        ("affected_services", {"0": "Email"}),
        ("affected_services", DuplicateKey("Email")),
        ("affected_services", "Email"),
        ("affected_services", ["x"] * 501),
        ("contact", []),
        ("customer", "acme"),
        ("channel", "phone"),
        ("category", "INCIDENT"),
        ("via", "sales"),
        ("sender_is_it_contact", 1),
        ("sender_is_it_contact", "true"),
        ("opened_at", "2026-06-08T12:00:00"),
        ("opened_at", "2026-06-08"),
        ("opened_at", 1780920000),
        ("opened_at", "1780920000"),
        ("opened_at", "0001-01-01T00:00:00+14:00"),
        ("opened_at", "1990-01-01T00:30:00+01:00"),
        ("opened_at", "9999-12-31T23:59:59-14:00"),
        ("opened_at", "9999-12-31T23:59:59Z"),
        ("starts_at", "9000-01-01T00:00:00Z"),
        ("opened_at", "0001-01-01T00:00:00Z"),
        ("opened_at", "9999-12-31T23:59:59.9-00:01"),
        ("opened_at", "2016-12-31T23:59:60Z"),
        ("opened_at", "2026-06-08T24:00:00Z"),
        ("opened_at", "2026-02-30T12:00:00Z"),
        ("starts_at", "2026-06-08T25:00:00Z"),
        ("impact", True),
        ("severty", 1),
    ],
)
def test_a_wrong_value_names_its_field(field: str, value: object) -> None:
    assert wrong(TicketRequest, {**TICKET, field: value}) == [field]


@pytest.mark.parametrize("value", [True, -1, 100.5, float("nan"), float("inf"), "40"])
def test_a_percentage_is_a_number_up_to_100(value: object) -> None:
    body = {**TICKET, "impact": {"users_affected_percent": value}}
    assert wrong(TicketRequest, body) == ["impact.users_affected_percent"]


def test_items_of_lists_are_named_by_their_index() -> None:
    assert wrong(TicketRequest, {**TICKET, "affected_services": ["Email", " ", 7]}) == [
        "affected_services.1",
        "affected_services.2",
    ]


@pytest.mark.parametrize(("percent", "taken"), [(0, True), (75, True), (74.999, True), (100, True), (100.0001, False)])
def test_a_percentage_ends_at_100(percent: float, taken: bool) -> None:
    body = {**TICKET, "impact": {"users_affected_percent": percent}}
    if taken:
        impact = validate_request(TicketRequest, body).impact
        assert impact is not None
        assert impact.users_affected_percent == percent
    else:
        assert wrong(TicketRequest, body) == ["impact.users_affected_percent"]


def test_a_wrong_service_is_named_once() -> None:
    assert wrong(TicketRequest, {**TICKET, "affected_services": [None]}) == ["affected_services.0"]


def test_a_name_that_an_object_gives_twice_is_named_as_the_field_it_is() -> None:
    assert wrong(TicketRequest, DuplicateKey("severity")) == ["severity"]
    assert wrong(TicketRequest, {**TICKET, "contact": DuplicateKey("email")}) == ["contact.email"]
    assert wrong(BatchItemRequest, {**TICKET, "events": [EVENT, DuplicateKey("actor")]}) == ["events.1.actor"]
    assert wrong(BatchRequest, DuplicateKey("tickets")) == ["tickets"]
    assert wrong(TicketRequest, DuplicateKey("x" * 10_000)) == ["x" * 100]


def test_an_object_of_endless_names_is_refused_as_a_whole() -> None:
    assert wrong(TicketRequest, {**TICKET, **{f"x{n}": n for n in range(100)}}) == [""]


@pytest.mark.parametrize("text", ["8999-12-31T23:59:59Z", "1990-01-01T00:00:00Z", "2100-01-01t00:00:00.123456789Z"])
def test_an_instant_far_away_is_an_instant(text: str) -> None:
    found = validate_request(TicketRequest, {**TICKET, "opened_at": text, "starts_at": text})
    assert found.opened_at == found.starts_at
    assert found.opened_at is not None


def test_null_and_blank_are_absent() -> None:
    absent = {**TICKET, "description": None, "channel": "", "opened_at": " ", "impact": None, "via": None}
    assert validate_request(TicketRequest, absent) == validate_request(TicketRequest, TICKET)
    assert validate_request(TicketRequest, absent).digest() == validate_request(TicketRequest, TICKET).digest()


@pytest.mark.parametrize("blank", [" ", "\t\n", "\x1c", "\x1f", "\x85"])
def test_the_schema_knows_every_blank(blank: str) -> None:
    pattern = TicketRequest.model_json_schema()["properties"]["summary"]["pattern"]
    assert re.search(pattern, blank, re.ASCII) is None  # JSON Schema's \s is not Python's
    assert re.search(pattern, f"{blank}a{blank}", re.ASCII)
    assert wrong(TicketRequest, {**TICKET, "summary": blank}) == ["summary"]


def test_a_default_that_is_written_out_says_the_same() -> None:
    full = {**TICKET, "channel": "portal", "category": "incident", "via": "support", "sender_is_it_contact": False}
    assert validate_request(TicketRequest, full).digest() == validate_request(TicketRequest, TICKET).digest()
    assert (
        validate_request(BatchItemRequest, {**TICKET, "events": [], "history": False}).digest()
        == validate_request(TicketRequest, TICKET).digest()
    )


def test_the_longest_string_and_list_are_taken() -> None:
    validate_request(TicketRequest, {**TICKET, "summary": "x" * 10_000, "affected_services": ["x"] * 500})


def test_a_phone_number_is_enough_to_reach_a_contact() -> None:
    contact = validate_request(TicketRequest, {**TICKET, "contact": {"name": "Ada", "phone": "+1 555 0100"}}).contact
    assert (contact.email, contact.phone) == (None, "+1 555 0100")


def test_only_a_machine_source_may_leave_the_severity_out() -> None:
    body = {**TICKET, "severity": None}
    assert validate_request(TicketRequest, body, {"connectwise": 2}).severity is None
    with pytest.raises(ValidationError):
        validate_request(TicketRequest, body, {"prometheus": 2})


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"type": None}, ["type"]),
        ({"type": "opened"}, ["type"]),
        ({"actor": ""}, ["actor"]),
        ({"type": "severity_changed"}, ["severity"]),
        ({"severity": 2}, ["severity"]),
        ({"resolution_kind": "workaround"}, ["resolution_kind"]),
        ({"type": "resolved", "resolution_kind": "magic"}, ["resolution_kind"]),
        ({"occurred_at": "yesterday"}, ["occurred_at"]),
    ],
)
def test_a_wrong_event_names_its_fields(change: dict[str, object], fields: list[str]) -> None:
    assert wrong(EventRequest, {**EVENT, **change}) == fields


def test_a_resolve_without_a_kind_is_a_resolve() -> None:
    assert validate_request(EventRequest, {**EVENT, "type": "resolved"}).resolution_kind == "resolved"


def test_a_bad_event_is_named_inside_its_item() -> None:
    assert wrong(BatchItemRequest, {**TICKET, "events": [EVENT, {"type": "paused"}]}) == ["events.1.actor"]


def test_a_batch_has_a_list_of_at_most_500() -> None:
    assert wrong(BatchRequest, {}) == ["tickets"]
    assert wrong(BatchRequest, {"tickets": {}}) == ["tickets"]
    assert wrong(BatchRequest, {"tickets": [None] * 501}) == ["tickets"]
    assert len(validate_request(BatchRequest, {"tickets": [None] * 500}).tickets) == 500


@given(
    at=st.datetimes(min_value=datetime(1990, 1, 2), max_value=datetime(2099, 12, 30)),  # noqa: DTZ001 (the zone is drawn)
    minutes=st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_an_instant_is_kept_to_the_microsecond_whatever_its_zone(at: datetime, minutes: int) -> None:
    aware = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = validate_request(TicketRequest, {**TICKET, "opened_at": aware.isoformat()}).opened_at
    assert found == aware
    assert found is not None
    assert found.tzinfo is UTC


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
    )
)
def test_nothing_but_a_validation_error_comes_of_a_body(body: object) -> None:
    with pytest.raises(ValidationError):
        validate_request(TicketRequest, body)
