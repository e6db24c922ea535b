"""The adapters: recorded webhooks, the formats of instants, and hostile payloads."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from intake.domain.webhooks.adapters import connectwise
from intake.domain.webhooks.delivery_reader import read_delivery
from intake.domain.webhooks.snapshot import AssigneeInfo, ContactInfo, DeliveryContent, TicketSnapshot
from intake.errors import UnreadableError
from support.webhook_recordings import recorded, shipped


def read(provider: str, body: bytes | object, **settings: Any) -> DeliveryContent:
    integration = shipped(provider).model_copy(update=settings)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_delivery(raw, integration)


def only(provider: str, name: str, **settings: Any) -> TicketSnapshot:
    (snapshot,) = read(provider, recorded(provider, name), **settings).snapshots
    return snapshot


def changed(provider: str, name: str, **fields: Any) -> Any:
    """A recorded delivery with changed fields of the ticket, which is in `Entity` for ConnectWise."""
    body = json.loads(recorded(provider, name))
    if provider == "connectwise":
        return body | {"Entity": json.dumps(json.loads(body["Entity"]) | fields)}
    if provider == "autotask":
        return body | {"Fields": body["Fields"] | fields}
    return body | fields


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_connectwise() -> None:
    assert only("connectwise", "5-completed") == TicketSnapshot(
        external_id="48213",
        action="updated",
        seen_at=at("2026-06-09T07:12:44"),
        opened_at=at("2026-06-08T12:00:07"),
        responded_at=at("2026-06-08T12:41:30"),
        resolved_at=at("2026-06-09T07:10:00"),
        status="Completed",
        priority="Priority 1 - Critical",
        queue="Help Desk",
        type="Email",
        channel="Email Connector",
        summary="Exchange: nobody in Graz can send mail",
        description="Since 14:00 local time all mails stay in the outbox.\nAbout 40 people.",
        customer_id="Alpenmilch",
        customer_name="Alpenmilch eG",
        contact=ContactInfo("Jana Müller", "jana.mueller@alpenmilch.example", "+433165550188"),
        assignee=AssigneeInfo("jhuber", "Johanna Huber"),
        actor="jhuber",
    )
    assert read("connectwise", recorded("connectwise", "1-added")).key == "0b6c1c5e-7b0f-4a3e-9d53-0a1f6b1c0001"
    assert only("connectwise", "other-deleted") == TicketSnapshot(external_id="48213", action="deleted")
    other = read("connectwise", recorded("connectwise", "other-contact"))
    assert (other.tickets, other.ignored, other.about) == ((), "not_a_ticket", "contact")


def test_connectwise_categories_are_services_if_the_integration_lists_them() -> None:
    assert only("connectwise", "1-added").services is None
    assert only("connectwise", "1-added", services={"exchange": "Mail"}).services == ("Exchange",)


def test_autotask() -> None:
    assert only("autotask", "1-create") == TicketSnapshot(
        external_id="7644",
        action="created",
        seen_at=at("2026-06-08T12:00:07"),
        sequence=1,
        opened_at=at("2026-06-08T12:00:06.917"),
        status="1",
        priority="2",
        queue="29682833",
        type="2",
        channel="4",
        summary="Line 3: label printers offline",
        description="All four printers of line 3 stopped after the update.",
        customer_id="174",
        actor="29682885",
    )
    assert only("autotask", "2-in-progress").responded_at == at("2026-06-08T12:52:39.547")
    assert only("autotask", "5-complete").resolved_at == at("2026-06-09T08:30:00")
    assert only("autotask", "other-delete") == TicketSnapshot(
        external_id="7644", action="deleted", seen_at=at("2026-06-10T09:00:00"), sequence=6, actor="29682885"
    )
    assert only("autotask", "1-create", services={"136": "Label printing"}).services == ("136",)
    assert read("autotask", recorded("autotask", "other-note")).about == "TicketNote"


@pytest.mark.parametrize("name", ["Guid", "EntityType", "Id", "Action", "EventTime", "SequenceNumber"])
def test_the_key_of_an_autotask_delivery_is_made_of_six_fields(name: str) -> None:
    body = json.loads(recorded("autotask", "2-in-progress"))
    key = read("autotask", body).key
    assert key is not None
    assert key == read("autotask", body | {"PersonID": 1, "Fields": {}}).key
    other = {"EntityType": "ticketnote", "Action": "Delete", "EventTime": "2026-06-08T12:52:41Z"}.get(name, 99)
    assert read("autotask", body | {name: other}).key != key
    if name in ("Guid", "EventTime", "SequenceNumber"):
        assert read("autotask", body | {name: None}).key is None


def test_halopsa() -> None:
    assert only("halopsa", "2-responded") == TicketSnapshot(
        external_id="2187",
        seen_at=at("2026-06-08T13:24:11.037111"),
        opened_at=at("2026-06-08T13:00:07.123456"),
        responded_at=at("2026-06-08T13:24:10.9"),
        status="2",
        priority="3",
        queue="1st Line Support",
        type="1",
        summary="VPN drops every ten minutes",
        description="Home office users of the finance team.",
        customer_id="12",
        customer_name="Kestrel Freight Ltd",
        contact=ContactInfo("Priya Shah", "priya.shah@kestrel.example"),
        assignee=AssigneeInfo("5", "Tom Reed"),
    )
    assert only("halopsa", "1-new").responded_at is None
    assert only("halopsa", "1-new").resolved_at is None
    assert only("halopsa", "1-new", services={"Network>VPN": "VPN"}).services == ("Network>VPN",)
    closed, new = read("halopsa", recorded("halopsa", "5-closed")).snapshots
    assert (closed.external_id, closed.resolved_at) == ("2187", at("2026-06-09T10:05:00"))
    assert new.external_id == "2188"
    assert only("halopsa", "4-with-user").status == "4"
    assert only("halopsa", "other-deleted").action == "deleted"
    other = read("halopsa", recorded("halopsa", "other-client"))
    assert (other.tickets, other.ignored, other.about) == ((), "not_a_ticket", "Client Updated")


INSTANTS = {
    "connectwise": ("1-added", "dateResponded", "Entity.dateResponded"),
    "autotask": ("1-create", "FirstResponseDateTime", "Fields.FirstResponseDateTime"),
    "halopsa": ("1-new", "responsedate", "responsedate"),
}


def responded_at(provider: str, value: object, zone: str = "UTC") -> datetime | None:
    name, field, _ = INSTANTS[provider]
    (snapshot,) = read(provider, changed(provider, name, **{field: value}), zone=zone).snapshots
    return snapshot.responded_at


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2026-06-08T12:00:00Z", "America/New_York", "2026-06-08T12:00:00"),
        ("2026-06-08T12:00:00+02:00", "America/New_York", "2026-06-08T10:00:00"),
        ("2026-06-08T12:00:00", "America/New_York", "2026-06-08T16:00:00"),
        ("2026-06-08 12:00", "UTC", "2026-06-08T12:00:00"),
        (" 2026-06-08T12:00:00.9999999 ", "UTC", "2026-06-08T12:00:00.999999"),
        # The clocks were turned back at 03:00 CEST: the earlier of the two times 02:30.
        ("2026-10-25T02:30:00", "Europe/Vienna", "2026-10-25T00:30:00"),
        # 02:30 did not exist: an hour later by the offset before.
        ("2026-03-29T02:30:00", "Europe/Vienna", "2026-03-29T01:30:00"),
    ],
)
def test_instants_are_converted_to_utc(value: str, zone: str, expected: str) -> None:
    for provider in INSTANTS:
        assert responded_at(provider, value, zone) == at(expected)


def test_null_and_blank_mean_that_there_is_no_instant() -> None:
    for provider in INSTANTS:
        assert responded_at(provider, None) is None
        assert responded_at(provider, " ") is None


@pytest.mark.parametrize(
    "value",
    [
        "2026-06-08T12:00:60Z",
        "2026-02-30T12:00:00Z",
        "2026-06-08",
        "2026-W24-1T12:00:00",
        "٢٠٢٦-06-08T12:00:00Z",
        "\ud800",
        "2026-06-08T12:00:00\x00",
        1780920007,
        1e400,
        True,
        {},
    ],
)
def test_a_value_that_is_not_an_instant_is_unreadable_by_its_path(value: object) -> None:
    for provider, (_, _, path) in INSTANTS.items():
        with pytest.raises(UnreadableError) as error:
            responded_at(provider, value)
        assert error.value.field in (path, "body", "Entity")


@pytest.mark.parametrize(
    "value", ["0001-01-01T00:00:00+14:00", "1900-01-01", "/Date(-62135596800000)/", 0, "9999-12-31"]
)
def test_an_adapter_reads_a_date_that_means_never_as_none(value: object) -> None:
    for provider in INSTANTS:
        assert responded_at(provider, value) is None


@pytest.mark.rule("1.12")
@pytest.mark.parametrize("dirt", ["\r\n", "\x00", "\x1b[2K", "\u2028", "\u202e", "\x85", "\t"])
def test_control_characters_in_ids_names_and_addresses_are_removed_and_noted(dirt: str) -> None:
    for provider, (name, id_field, name_field) in {
        "connectwise": ("1-added", None, "contactEmailAddress"),
        "halopsa": ("1-new", "id", "user_name"),
        "autotask": ("1-create", None, "CompanyID"),
    }.items():
        for field in filter(None, (id_field, name_field)):
            body = json.dumps(changed(provider, name, **{field: f"a{dirt}b"})).encode()
            (snapshot,) = read_delivery(body, shipped(provider)).snapshots
            assert snapshot.text_cleaned
            texts = (snapshot.external_id, snapshot.customer_id or "", snapshot.contact.name or "")
            assert all(text.isprintable() for text in (*texts, snapshot.contact.email or ""))
        described = json.dumps(changed(provider, name, summary=f"a{dirt}b", details=f"a{dirt}b")).encode()
        assert [each.text_cleaned for each in read_delivery(described, shipped(provider)).snapshots] == [False]


def test_an_unreadable_ticket_does_not_affect_the_others_of_its_delivery() -> None:
    good = json.loads(recorded("halopsa", "1-new"))
    content = read("halopsa", [good | {"dateoccurred": "x"}, good, 7])
    assert [snapshot.external_id for snapshot in content.snapshots] == ["2187"]
    first, _, last = map(str, content.tickets)
    assert first.startswith("[0].dateoccurred: is not an instant such as 2026-06-08T12:00:00Z")
    assert last.startswith("[2]: must be an object with a ticket; in HaloPSA, set the payload type")


HOSTILE = {
    "not JSON": b"{",
    "not UTF-8": b'{"a": "\xff"}',
    "empty": b"",
    "NaN": b'{"ID": NaN}',
    "Infinity": b"[Infinity]",
    "a number": b"7",
    "a text": b'"ticket"',
    "null": b"null",
    "deep": b"[" * 100_000,
    "deep and closed": b'{"a":' * 40 + b"1" + b"}" * 40,
    "duplicate keys": b'{"ID": 1, "Id": 1, "id": 1, "id": 2, "Id": 2, "ID": 2}',
    "a list of lists": b"[[]]",
    "a list of numbers": b"[1]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_payload_that_is_not_an_object_is_unreadable(name: str) -> None:
    for provider in INSTANTS:
        with pytest.raises(UnreadableError):
            read(provider, HOSTILE[name])
    assert connectwise.key_url(HOSTILE[name]) is None


IDS = {
    "connectwise": ("1-added", '"ID":48213'),
    "autotask": ("1-create", '"Id":7644'),
    "halopsa": ("1-new", '"id":2187'),
}


@pytest.mark.parametrize("value", ["null", '" "', "true", "1.5", "1e400", f"{1 << 63}", "9" * 5000, "[]", "{}"])
def test_a_ticket_without_an_id_is_unreadable(value: str) -> None:
    for provider, (name, field) in IDS.items():
        body = recorded(provider, name).decode()
        assert field in body
        with pytest.raises(UnreadableError) as error:
            read(provider, body.replace(field, f"{field.partition(':')[0]}:{value}", 1).encode())
        assert error.value.field == field[1:3]
