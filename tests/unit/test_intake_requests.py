"""Request models: every wrong field is named; absent, null and blank are equal; instants state their zone."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.json_parsing import DuplicateKey, HugeInteger, parse_json
from intake.domain.schema_base import RequestModel
from intake.domain.ticket_request import (
    BatchItemRequest,
    BatchRequest,
    DerivedTicketRequest,
    EventRequest,
    TicketRequest,
    validate_request,
)
from pydantic import ValidationError
from tocsin.characters import clean_line
from tocsin.events import ticket_id

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


def ticket(**fields: object) -> TicketRequest:
    return validate_request(TicketRequest, {**TICKET, **fields})


def wrong_fields(model: type[RequestModel], body: object) -> list[str]:
    with pytest.raises(ValidationError) as rejected:
        validate_request(model, body)
    return sorted(".".join(str(part) for part in error["loc"]) for error in rejected.value.errors())


@pytest.mark.rule("1.1", "1.8")
def test_an_empty_ticket_names_every_missing_field() -> None:
    missing = ["affected_services", "contact", "customer", "external_id", "severity", "source", "summary"]
    assert wrong_fields(TicketRequest, {}) == missing


def test_missing_and_wrong_fields_are_named_together() -> None:
    body = {**TICKET, "severity": 5, "contact": {}, "summary": " ", "impact": {"work_stoppage": "total"}}
    assert wrong_fields(TicketRequest, body) == [
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
        ("severity", HugeInteger()),
        ("impact", HugeInteger()),
        ("impact", True),
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
        ("channel", "phone"),
        ("sender_is_it_contact", 1),
        ("opened_at", "2026-06-08T12:00:00"),
        ("opened_at", "2026-06-08"),
        ("opened_at", 1780920000),
        ("opened_at", "0001-01-01T00:00:00+14:00"),
        ("opened_at", "1990-01-01T00:30:00+01:00"),
        ("opened_at", "9999-12-31T23:59:59-14:00"),
        ("opened_at", "9000-01-01T00:00:00Z"),
        ("opened_at", "2016-12-31T23:59:60Z"),
        ("opened_at", "2026-02-30T12:00:00Z"),
        ("severty", 1),
    ],
)
def test_a_wrong_value_names_its_field(field: str, value: object) -> None:
    assert wrong_fields(TicketRequest, {**TICKET, field: value}) == [field]


@pytest.mark.parametrize("percent", [True, -1, 100.0001, float("nan"), float("inf"), "40"])
def test_a_percentage_is_a_number_from_0_to_100(percent: object) -> None:
    body = {**TICKET, "impact": {"users_affected_percent": percent}}
    assert wrong_fields(TicketRequest, body) == ["impact.users_affected_percent"]
    assert validate_request(TicketRequest, {**TICKET, "impact": {"users_affected_percent": 100}}).impact is not None


def test_items_of_lists_are_named_by_their_index() -> None:
    body = {**TICKET, "affected_services": ["Email", " ", 7, None]}
    assert wrong_fields(TicketRequest, body) == [f"affected_services.{index}" for index in (1, 2, 3)]
    assert wrong_fields(BatchItemRequest, {**TICKET, "events": [EVENT, {"type": "paused"}]}) == ["events.1.actor"]


def test_a_duplicate_key_is_named_as_a_field() -> None:
    assert wrong_fields(TicketRequest, DuplicateKey("severity")) == ["severity"]
    assert wrong_fields(TicketRequest, {**TICKET, "contact": DuplicateKey("email")}) == ["contact.email"]
    assert wrong_fields(BatchItemRequest, {**TICKET, "events": [EVENT, DuplicateKey("actor")]}) == ["events.1.actor"]
    assert wrong_fields(BatchRequest, DuplicateKey("tickets")) == ["tickets"]
    assert wrong_fields(TicketRequest, DuplicateKey("x" * 10_000)) == ["x" * 100]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"severity": 1, "severity": 2}', "severity"),
        (b'{"contact": {"name": "A", "name": "B"}}', "contact.name"),
        (b'{"affected_services": {"a": 1, "a": 2}}', "affected_services"),
        (b'{"\\ud800": 1, "?": 2}', "?"),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(101)) + b"}", ""),
        (b'{"severity": ' + b"9" * 5000 + b"}", "severity"),
        (b'{"impact": ' + b"[" * 500 + b"]" * 500 + b"}", "impact"),
        (b'{"impact": {"users_affected_percent": 1e400}}', "impact.users_affected_percent"),
    ],
)
def test_json_that_a_lenient_parser_would_change_is_rejected(body: bytes, field: str) -> None:
    assert field in wrong_fields(TicketRequest, parse_json(body))


@pytest.mark.parametrize("text", ["8999-12-31T23:59:59Z", "1990-01-01T00:00:00Z", "2100-01-01t00:00:00.123456789Z"])
def test_a_distant_instant_is_accepted(text: str) -> None:
    found = ticket(opened_at=text, starts_at=text)
    assert found.opened_at == found.starts_at
    assert found.opened_at is not None


def test_null_blank_and_a_written_out_default_are_equal_to_absent() -> None:
    assert ticket(description=None, channel="", opened_at=" ", impact=None, via=None) == ticket()
    assert ticket(description=None, channel="").digest() == ticket().digest()
    assert ticket(severity=1.0).digest() == ticket().digest()
    written_out = ticket(channel="portal", category="incident", via="support", sender_is_it_contact=False)
    assert written_out.digest() == ticket().digest()
    item = validate_request(BatchItemRequest, {**TICKET, "events": [], "history": False})
    assert item.digest() == ticket().digest()


@pytest.mark.parametrize("blank", [" ", "\t\n", "\x1c", "\x1f", "\x85"])
def test_the_json_schema_rejects_every_blank_that_the_model_rejects(blank: str) -> None:
    pattern = TicketRequest.model_json_schema()["properties"]["summary"]["pattern"]
    assert re.search(pattern, blank, re.ASCII) is None  # JSON Schema's \s matches fewer characters than Python's
    assert re.search(pattern, " a ", re.ASCII)
    assert wrong_fields(TicketRequest, {**TICKET, "summary": blank}) == ["summary"]


def test_the_longest_string_and_list_are_accepted() -> None:
    ticket(summary="x" * 10_000, affected_services=["x"] * 500)


@pytest.mark.rule("1.8")
def test_a_phone_number_is_enough_to_reach_a_contact() -> None:
    contact = ticket(contact={"name": "Ada", "phone": "+1 555 0100"}).contact
    assert (contact.email, contact.phone) == (None, "+1 555 0100")


@pytest.mark.rule("1.9")
def test_only_a_machine_source_may_omit_the_severity() -> None:
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
        ({"type": "assessed"}, ["impact"]),
        ({"type": "assessed", "impact": None}, ["impact"]),
        ({"impact": {"business_risk": "major"}}, ["impact"]),
        ({"type": "assessed", "impact": {"business_risk": "huge"}}, ["impact.business_risk"]),
        ({"type": "assigned", "actor": None}, ["actor", "assignee"]),
        ({"assignee": {"name": "Ruth"}}, ["assignee"]),
        ({"type": "assigned", "assignee": {"email": "ruth@msp.example"}}, ["assignee.name"]),
        ({"type": "assigned", "assignee": {"name": "Ruth", "email": "ruth at msp"}}, ["assignee.email"]),
        ({"occurred_at": "yesterday"}, ["occurred_at"]),
    ],
)
def test_a_wrong_event_names_its_fields(change: Mapping[str, object], fields: list[str]) -> None:
    assert wrong_fields(EventRequest, {**EVENT, **change}) == fields


def test_null_is_an_assignee_nobody() -> None:
    assert validate_request(EventRequest, {**EVENT, "type": "assigned", "assignee": None}).assignee is None


_NO_ADDRESSES = [
    "ada",
    "ada@acme",
    " ada@acme.example",
    "ada@acme.example\r\nBcc: b@acme.example",
    "a\x07@acme.example",
]


@pytest.mark.rule("1.10")
@pytest.mark.parametrize("text", _NO_ADDRESSES)
def test_a_posted_address_must_be_usable(text: str) -> None:
    assert wrong_fields(TicketRequest, {**TICKET, "contact": {"name": "Ada", "email": text}}) == ["contact.email"]
    assert wrong_fields(TicketRequest, {**TICKET, "assignee": {"name": "Ada", "email": text}}) == ["assignee.email"]
    item = {**TICKET, "events": [{**EVENT, "type": "assigned", "assignee": {"name": "Ada", "email": text}}]}
    assert wrong_fields(BatchItemRequest, item) == ["events.0.assignee.email"]


@pytest.mark.rule("1.10")
@pytest.mark.parametrize("text", [text for text in _NO_ADDRESSES if text.strip() == text])
def test_a_ticket_from_a_webhook_or_a_mail_keeps_the_contact_and_loses_an_unusable_address_of_the_assignee(
    text: str,
) -> None:
    person = {"name": "Ada", "email": text}
    derived = DerivedTicketRequest.model_validate({**TICKET, "contact": person, "assignee": person})
    assert derived.contact.email == clean_line(text)
    assert derived.assignee is not None
    assert (derived.assignee.name, derived.assignee.email) == ("Ada", None)


WHOLE_TICKET: dict[str, Any] = {
    **TICKET,
    "description": "Since noon.",
    "contact": {"name": "Ada", "email": "ada@acme.example", "phone": "+1 555 0100"},
    "assignee": {"name": "Ruth", "email": "ruth@msp.example"},
    "events": [{**EVENT, "event_id": "note-77", "reason": "called her"}],
}


def texts(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each text of a body."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(item, (*path, key))


def changed(body: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    copy = dict(body) if isinstance(body, dict) else list(body)
    copy[path[0]] = changed(body[path[0]], path[1:], text)
    return copy


CONTROLS = st.one_of(st.characters(categories=["Cc", "Cs"], exclude_characters="\t\n"), st.sampled_from("\u2028\u2029"))


@pytest.mark.rule("1.12")
@given(st.sampled_from(list(texts(WHOLE_TICKET))), CONTROLS, st.sampled_from(["x{}y", "{}x", "x{}", "x\r\nBcc: a@b{}"]))
def test_a_control_character_anywhere_is_rejected_by_the_name_of_its_field(
    path: tuple[Any, ...], control: str, form: str
) -> None:
    body = changed(WHOLE_TICKET, path, form.format(control))
    assert ".".join(map(str, path)) in wrong_fields(BatchItemRequest, body)
    assert all(control not in part for part in kept_texts(body))


def kept_texts(body: object) -> Iterator[str]:
    """The texts of the ticket that a tool sent, none if another field than a text was wrong."""
    with suppress(ValidationError):
        kept = DerivedTicketRequest.model_validate(body).model_dump(mode="json")
        for path in texts(kept):
            yield str(reduce(lambda value, key: value[key], path, kept))


@pytest.mark.rule("1.12")
@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("external_id", "x\r\nBcc: a@b"),
        ("external_id", "SR-\u200b1042"),
        ("source", "connect\u202ewise"),
        ("customer.id", "acme\ufeff"),
        ("customer.name", "Acme\u2028"),
        ("summary", "Mail\nis down"),
        ("summary", "gpj.\u202eexe"),
        ("affected_services.0", "Email\t"),
        ("contact.name", "Ada\x7f"),
        ("contact.name", "Ada\u200b"),
        ("summary", "Mail\uffff"),
        ("description", "a\ufffeb"),
        ("contact.phone", "\u202a+1 555 0100\u202c"),
        ("description", "a\rb"),
        ("events.0.event_id", "note-\u00ad77"),
        ("events.0.actor", "Bob\r\nX-Tocsin: 1"),
        ("events.0.reason", "called\x08"),
    ],
)
def test_ids_and_lines_have_no_line_breaks_and_nothing_invisible(field: str, text: str) -> None:
    path = tuple(int(part) if part.isdecimal() else part for part in field.split("."))
    assert wrong_fields(BatchItemRequest, changed(WHOLE_TICKET, path, text)) == [field]


@pytest.mark.rule("1.12")
def test_spellings_of_an_id_that_look_the_same_name_the_same_ticket() -> None:
    composed, decomposed = ticket(external_id="caf\u00e9-1"), ticket(external_id=" cafe\u0301-1 ")
    assert composed == decomposed
    assert composed.digest() == decomposed.digest()
    assert ticket_id("default", "jira", "caf\u00e9-1") == ticket_id("default", "jira ", " cafe\u0301-1")
    assert ticket_id("default", "jira", "SR-1") != ticket_id("default", "jira", "sr-1")


def test_an_invisible_name_counts_as_missing() -> None:
    assert wrong_fields(TicketRequest, {**TICKET, "contact": {"name": "\u200b \ufeff", "phone": "1"}}) == [
        "contact.name"
    ]


@pytest.mark.rule("1.12")
def test_a_description_keeps_line_breaks_and_tabs() -> None:
    assert ticket(description="a\r\n\tb\n\u200f").description == "a\n\tb\n\u200f"


def test_a_resolve_without_a_kind_is_a_resolution() -> None:
    assert validate_request(EventRequest, {**EVENT, "type": "resolved"}).resolution_kind == "resolved"


def test_a_batch_has_at_most_500_tickets_and_does_not_validate_them() -> None:
    bodies: tuple[object, ...] = ({}, [None] * 501, None)
    for tickets in bodies:
        assert wrong_fields(BatchRequest, {"tickets": tickets}) == ["tickets"]
    assert len(validate_request(BatchRequest, {"tickets": [None] * 500}).tickets) == 500


@given(
    at=st.datetimes(min_value=datetime(1990, 1, 2), max_value=datetime(2099, 12, 30)),  # noqa: DTZ001 (the zone is drawn)
    minutes=st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_an_instant_of_any_zone_is_kept_to_the_microsecond(at: datetime, minutes: int) -> None:
    aware = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = ticket(opened_at=aware.isoformat()).opened_at
    assert found == aware
    assert found is not None
    assert found.tzinfo is UTC


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_other_body_raises_a_validation_error(body: object) -> None:
    with pytest.raises(ValidationError):
        validate_request(TicketRequest, body)
