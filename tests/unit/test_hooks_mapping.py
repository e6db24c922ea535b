"""integrations.yaml: errors name the line, and words of tools are mapped as people write them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from intake.commands.hooks import schema_text
from intake.domain.ticket_request import DerivedTicketRequest
from intake.domain.webhooks.config.integrations import NO_IT_CONTACTS, Integration, load_integrations
from intake.domain.webhooks.create_ticket import create_ticket
from intake.domain.webhooks.mapping import map_snapshot
from intake.domain.webhooks.snapshot import ContactInfo, TicketSnapshot
from intake.domain.webhooks.update import TicketCustomer, TicketUpdate, sort_updates
from intake.domain.words import find_word
from intake.errors import IntegrationsError, UnmappedError
from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[2] / "deploy/policy"
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
GOOD = """version: "1"
tenants:
  default:
    desk:
      adapter: generic
      auth: {secrets: [{secret_env: TOCSIN_HOOK_DESK}], header: X-Secret}
      statuses: {New: new, 7: resolved, Noise: ignored}
      priorities: {Urgent: 1}
      types: {Attack: security}
      channels: {Phone: voicemail}
      services: {Mail: Email}
      customers: {"12": {id: acme, name: Acme}}
      queues: [Help]
      defaults: {severity: 3}
      generic: {external_id: id}
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(IntegrationsError) as caught:
        load_integrations(text, "integrations.yaml")
    return list(caught.value.problems)


def desk(text: str = GOOD) -> Integration:
    found = load_integrations(text, "integrations.yaml").find("default", "desk")
    assert found is not None
    return found


SECRET = "secret_env: TOCSIN_HOOK_DESK"
HEADER = "header: X-Secret"
ID = "{external_id: id}"


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("adapter: generic", "adapter: gneric", 5, "desk.adapter: `gneric` is not a valid value; did you mean"),
        ("7: resolved", "7: solved", 7, "desk.statuses.7: `solved` is not a valid value; did you mean `resolved`"),
        ("7: resolved", "new: resolved", 7, "desk.statuses.new: differs from `New` only in case"),
        (HEADER, "", 6, "desk.auth.signature: must be the only method; write"),
        (HEADER, "header: X, bearer: true", 6, "desk.auth.signature: must be the only method"),
        (HEADER, "fetch_keys: true, header: X", 6, "desk.auth.fetch_keys: is not supported by the adapter generic"),
        (HEADER, "signature: {header: X, signed: [timestamp, body]}", 6, "desk.auth.signature.timestamp_header: is"),
        (HEADER, "signature: {header: X, signed: [timestamp]}", 6, "desk.auth.signature.signed: must contain"),
        (f"secrets: [{{{SECRET}}}], ", "", 6, "desk.auth.secrets: is missing; name"),
        (SECRET, "secret: x", 6, "desk.auth.secrets[0].secret: unknown"),
        (SECRET, "secret_env: hunter2", 6, "desk.auth.secrets[0].secret_env: it is not valid; "),
        (SECRET, "", 6, "desk.auth.secrets[0]: must name one secret"),
        (ID, "{external_id: 'id['}", 15, "desk.generic.external_id: `id[` is not a JMESPath"),
        (f"      generic: {ID}\n", "", 4, "desk.generic: is missing; write how the payload is read"),
        (ID, "{external_id: id, instants: [bogus]}", 15, "desk.generic.instants[0]: `bogus` lacks the day"),
        (ID, "{external_id: id, instants: ['%H:%M']}", 15, "desk.generic.instants[0]: `%H:%M` lacks the day"),
        ("{severity: 3}", "{contact: {name: Ada}}", 14, "desk.defaults.contact.email: is missing; write"),
        ("{Urgent: 1}", "{Urgent: 9}", 8, "desk.priorities.Urgent: `9` should be less than or equal to 4"),
        ("queues: [Help]", "fields: {via: Box}", 13, "desk.fields: is not supported by the adapter generic; write"),
        ("queues: [Help]", "assignees: {7: {nme: x}}", 13, "desk.assignees.7.nme: unknown field; did you mean `name`"),
        ("queues: [Help]", "impact: {workaround: {No: nope}}", 13, "desk.impact.workaround.No: `nope` is not a valid"),
        ("queues: [Help]", "mailboxes: {E: escalations, e: support}", 13, "desk.mailboxes.e: differs from `E` only"),
        ("desk:", "email:", 4, "email: is reserved for mails; use another name for the tool"),
        ("desk:", "Desk!:", 4, "Desk!: `Desk!` is not valid in a path; write"),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_a_correction(old: str, new: str, line: int, expected: str) -> None:
    problems = problems_of(GOOD.replace(old, new))
    start = f"integrations.yaml:{line}: tenants.default.{expected}"
    assert any(problem.startswith(start) for problem in problems), problems


def test_a_severity_is_mapped_or_has_a_default() -> None:
    without_priorities = GOOD.replace("      priorities: {Urgent: 1}\n", "")
    (problem,) = problems_of(without_priorities.replace("      defaults: {severity: 3}\n", ""))
    assert problem.startswith("integrations.yaml:4: tenants.default.desk.priorities: is missing")


def test_words_are_compared_without_case_and_white_space() -> None:
    words = desk().statuses
    assert [find_word(words, word) for word in ("NEW ", "new", "7", "8")] == ["new", "new", "resolved", None]


def mapped(**fields: Any) -> TicketUpdate:
    return map_snapshot(TicketSnapshot("T-1", **fields), desk(), received_at=NOW, delivery_key="key")


def test_the_words_of_a_snapshot_are_mapped() -> None:
    found = mapped(
        status=" new",
        priority="urgent",
        queue="HELP",
        type="Attack",
        channel="Phone",
        services=("Mail", "Printer"),
        customer_id="12",
        customer_name="ACME Inc.",
        contact=ContactInfo(phone="+1 555 0100"),
    )
    assert (found.status, found.severity, found.in_scope, found.category, found.channel) == (
        "new",
        1,
        True,
        "security",
        "voicemail",
    )
    assert found.services == ("Email", "Printer")
    assert found.customer is not None
    assert (found.customer.id, found.customer.name, found.contact_phone) == ("acme", "Acme", "+1 555 0100")
    assert found.at == NOW


def test_an_update_survives_its_storage_as_json() -> None:
    found = mapped(customer_name=" A customer " + "é" * 20_000, summary="\x00a\ud800", status="New")
    assert TicketUpdate.model_validate(found.model_dump(mode="json", exclude_defaults=True), strict=False) == found


def test_ignored_words_are_not_stated() -> None:
    found = mapped(status="Noise")
    assert (found.status, found.severity, found.in_scope, found.opened_at, found.at) == (None, None, None, None, NOW)


def test_no_instant_is_later_than_the_receipt() -> None:
    later = NOW + timedelta(minutes=5)
    found = mapped(seen_at=later, responded_at=later, resolved_at=later)
    assert {found.at, found.responded_at, found.resolved_at} == {NOW}


@pytest.mark.parametrize("field", ["seen_at", "opened_at", "responded_at", "resolved_at"])
def test_an_instant_in_the_future_is_unmapped_with_its_field(field: str) -> None:
    message = rf"^{field}: 2030-01-01T00:00:00.000000Z is more than 5 minutes after the receipt"
    with pytest.raises(UnmappedError, match=message) as caught:
        mapped(**{field: datetime(2030, 1, 1, tzinfo=UTC)})
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize(
    "form", ["iso", "unix", "unix_ms", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z", "%m/%d/%y %I:%M %p"]
)
def test_a_format_of_instants_needs_the_day_and_the_minute(form: str) -> None:
    reading = desk(GOOD.replace("{external_id: id}", f"{{external_id: id, instants: ['{form}']}}")).generic
    assert reading is not None
    assert reading.instants == (form,)


def test_at_one_instant_the_creation_comes_first_and_the_deletion_last() -> None:
    at = NOW - timedelta(hours=1)
    deleted, updated, created = (
        TicketSnapshot("T-1", action="deleted", seen_at=at),
        TicketSnapshot("T-1", action="updated", seen_at=at, status="7"),
        TicketSnapshot("T-1", action="created", seen_at=at, status="New"),
    )
    updates = [
        map_snapshot(snapshot, desk(), received_at=NOW, delivery_key=str(key))
        for key, snapshot in enumerate((deleted, updated, created))
    ]
    assert [update.status for update in sort_updates(updates)] == ["new", "resolved", "cancelled"]


def test_a_clock_that_is_slightly_ahead_decides_the_order() -> None:
    last = mapped(seen_at=NOW + timedelta(minutes=3), status="7")
    first = mapped(seen_at=NOW + timedelta(minutes=2), status="New")
    assert [update.status for update in sort_updates([last, first])] == ["new", "resolved"]


@pytest.mark.parametrize(("field", "reason"), [("status", "unknown_status"), ("priority", "unknown_priority")])
def test_an_unknown_word_is_unmapped(field: str, reason: str) -> None:
    with pytest.raises(UnmappedError) as caught:
        mapped(**{field: "Parked"})
    assert caught.value.reason == reason


def test_a_contact_needs_an_address_or_a_phone_number_and_its_name_is_optional() -> None:
    base = TicketUpdate(
        at=NOW,
        opened_at=NOW,
        in_scope=True,
        summary="s",
        services=("Email",),
        customer=TicketCustomer(id="acme", name="Acme"),
        severity=2,
    )
    reached = base.model_copy(update={"contact_email": "ada@acme.example"})
    ticket = create_ticket("desk", "T-1", [reached], desk(), NO_IT_CONTACTS, received_at=NOW, live_since=NOW)
    assert isinstance(ticket, DerivedTicketRequest)
    assert (ticket.contact.name, ticket.default_flags) == ("ada@acme.example", ())
    named = base.model_copy(update={"contact_name": "Ada"})
    with pytest.raises(UnmappedError) as caught:
        create_ticket("desk", "T-1", [named], desk(), NO_IT_CONTACTS, received_at=NOW, live_since=NOW)
    assert caught.value.reason == "missing_contact"


def test_the_schema_is_current_and_accepts_the_shipped_integrations() -> None:
    current = (FOLDER / "integrations.schema.json").read_text("utf-8")
    assert "docs/" not in current
    assert current == schema_text(), "run: python -m intake hooks schema > deploy/policy/integrations.schema.json"
    written = YAML(typ="safe", pure=True).load(FOLDER / "integrations.yaml")
    # An editor sees names as texts and instants as they are written.
    jsonschema.validate(json.loads(json.dumps(written, default=str)), json.loads(current))
