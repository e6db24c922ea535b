"""integrations.yaml: what is wrong with it is told at its line, and its words are found as people write them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from intake.commands.hooks import schema_text
from intake.domain.webhooks.config.integrations import Integration, IntegrationsError, load_integrations, meaning
from intake.domain.webhooks.create_ticket import opening
from intake.domain.webhooks.snapshot import ContactInfo, TicketSnapshot
from intake.domain.webhooks.update import TicketCustomer, TicketUpdate, UnmappedError, in_order, shown
from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[2] / "deploy/policy"
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
INSTANTS = "15: tenants.default.desk.generic.instants[0]:"
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


def refused(text: str) -> list[str]:
    with pytest.raises(IntegrationsError) as caught:
        load_integrations(text, "integrations.yaml")
    return list(caught.value.problems)


def desk(text: str = GOOD) -> Integration:
    found = load_integrations(text, "integrations.yaml").find("default", "desk")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("adapter: generic", "adapter: gneric"),
            "5: tenants.default.desk.adapter: `gneric` is not a valid value; did you mean",
        ),
        (
            ("7: resolved", "7: solved"),
            "7: tenants.default.desk.statuses.7: `solved` is not a valid value; did you mean `reso",
        ),
        (("7: resolved", "new: resolved"), "7: tenants.default.desk.statuses.new: is the same as `New` without regard"),
        (
            ("header: X-Secret", ""),
            "6: tenants.default.desk.auth.signature: is not the one way to prove who sends; write",
        ),
        (("header: X-Secret", "header: X, bearer: true"), "6: tenants.default.desk.auth.signature: is not the one way"),
        (
            ("secrets: [{secret_env: TOCSIN_HOOK_DESK}], ", ""),
            "6: tenants.default.desk.auth.secrets: is missing; state",
        ),
        (
            ("secret_env: TOCSIN_HOOK_DESK", "secret: x"),
            "6: tenants.default.desk.auth.secrets[0].secret: unknown field; did",
        ),
        (
            ("secret_env: TOCSIN_HOOK_DESK", "secret_env: hunter2"),
            "6: tenants.default.desk.auth.secrets[0].secret_env: it should match pattern",
        ),
        (
            ("{secret_env: TOCSIN_HOOK_DESK}", "{}"),
            "6: tenants.default.desk.auth.secrets[0]: must say where one secret",
        ),
        (
            ("header: X-Secret", "fetch_keys: true, header: X"),
            "6: tenants.default.desk.auth.fetch_keys: is not for the",
        ),
        (
            ("{external_id: id}", "{external_id: 'id['}"),
            "15: tenants.default.desk.generic.external_id: `id[` is no JMES",
        ),
        (("      generic: {external_id: id}\n", ""), "4: tenants.default.desk.generic: is missing; state how the"),
        (
            ("{severity: 3}", "{contact: {name: Ada}}"),
            "14: tenants.default.desk.defaults.contact.email: is missing; st",
        ),
        (
            ("{Urgent: 1}", "{Urgent: 9}"),
            "8: tenants.default.desk.priorities.Urgent: `9` should be less than or equal to 4; write a number",
        ),
        (("{external_id: id}", "{external_id: id, instants: [bogus]}"), f"{INSTANTS} `bogus` tells no day"),
        (("{external_id: id}", "{external_id: id, instants: ['%H:%M']}"), f"{INSTANTS} `%H:%M` tells no day"),
        (("desk:", "email:"), "4: tenants.default.email: is the path of mails; call the tool something else"),
        (("desk:", "Desk!:"), "4: tenants.default.Desk!: `Desk!` cannot stand in the hook's path; write"),
        (
            ("header: X-Secret", "signature: {header: X, signed: [timestamp, body]}"),
            "6: tenants.default.desk.auth.signat",
        ),
        (
            ("header: X-Secret", "signature: {header: X, signed: [timestamp]}"),
            "6: tenants.default.desk.auth.signature.s",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_line_with_what_would_be_right(change: tuple[str, str], told: str) -> None:
    problems = refused(GOOD.replace(*change))
    assert any(problem.startswith(f"integrations.yaml:{told}") for problem in problems), problems


def test_a_severity_must_come_from_somewhere() -> None:
    (problem,) = refused(
        GOOD.replace("      priorities: {Urgent: 1}\n", "").replace("      defaults: {severity: 3}\n", "")
    )
    assert problem.startswith("integrations.yaml:4: tenants.default.desk.priorities: is missing")


def test_words_are_compared_without_regard_to_case_and_blanks() -> None:
    words = desk().statuses
    assert [meaning(words, word) for word in ("NEW ", "new", "7", "8")] == ["new", "new", "resolved", None]


def seen(**fields: Any) -> TicketUpdate:
    return shown(TicketSnapshot("T-1", **fields), desk(), NOW, "key")


def test_a_sighting_is_put_into_our_words() -> None:
    told = seen(
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
    assert (told.status, told.severity, told.counts, told.category, told.channel) == (
        "new",
        1,
        True,
        "security",
        "voicemail",
    )
    assert told.services == ("Email", "Printer")
    assert told.customer is not None
    assert (told.customer.id, told.customer.name, told.contact_phone) == ("acme", "Acme", "+1 555 0100")
    assert told.at == NOW


def test_what_is_shown_is_stored_and_read_again_however_long_its_words_are() -> None:
    told = seen(customer_name=" A customer " + "é" * 20_000, summary="\x00a\ud800", status="New")
    assert TicketUpdate.model_validate(told.model_dump(mode="json", exclude_defaults=True), strict=False) == told


def test_what_the_tool_does_not_say_or_what_says_nothing_is_not_said() -> None:
    told = seen(status="Noise", seen_at=datetime(1, 1, 1, tzinfo=UTC), opened_at=datetime(1900, 1, 1, tzinfo=UTC))
    assert (told.status, told.severity, told.counts, told.opened_at, told.at) == (None, None, None, None, NOW)


def test_nothing_happened_later_than_it_was_received() -> None:
    later = NOW + timedelta(minutes=5)
    told = seen(seen_at=later, responded_at=later, resolved_at=later)
    assert {told.at, told.responded_at, told.resolved_at} == {NOW}


@pytest.mark.parametrize("field", ["seen_at", "opened_at", "responded_at", "resolved_at"])
def test_what_a_tool_tells_of_a_time_to_come_is_unmapped_by_its_field(field: str) -> None:
    with pytest.raises(
        UnmappedError, match=rf"^{field}: 2030-01-01T00:00:00.000000Z lies more than 5 minutes ahead"
    ) as caught:
        seen(**{field: datetime(2030, 1, 1, tzinfo=UTC)})
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize(
    "form", ["iso", "unix", "unix_ms", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z", "%m/%d/%y %I:%M %p"]
)
def test_an_instant_may_be_written_in_any_way_that_tells_day_and_minute(form: str) -> None:
    reading = desk(GOOD.replace("{external_id: id}", f"{{external_id: id, instants: ['{form}']}}")).generic
    assert reading is not None
    assert reading.instants == (form,)


def test_of_one_instant_a_ticket_is_created_first_and_deleted_last() -> None:
    at = NOW - timedelta(hours=1)
    deleted, updated, created = (
        TicketSnapshot("T-1", action="deleted", seen_at=at),
        TicketSnapshot("T-1", action="updated", seen_at=at, status="7"),
        TicketSnapshot("T-1", action="created", seen_at=at, status="New"),
    )
    told = [shown(one, desk(), NOW, str(key)) for key, one in enumerate((deleted, updated, created))]
    assert [one.status for one in in_order(told)] == ["new", "resolved", "cancelled"]


def test_of_two_sightings_by_a_clock_that_is_a_little_ahead_the_tool_gives_the_order() -> None:
    last = seen(seen_at=NOW + timedelta(minutes=3), status="7")
    first = seen(seen_at=NOW + timedelta(minutes=2), status="New")
    assert [one.status for one in in_order([last, first])] == ["new", "resolved"]


@pytest.mark.parametrize(("field", "reason"), [("status", "unknown_status"), ("priority", "unknown_priority")])
def test_a_word_that_nobody_knows_is_unmapped(field: str, reason: str) -> None:
    with pytest.raises(UnmappedError) as caught:
        seen(**{field: "Parked"})
    assert caught.value.reason == reason


def test_a_contact_without_a_name_is_called_by_their_address_and_the_default_stands_in_for_none() -> None:
    base = TicketUpdate(
        at=NOW,
        opened_at=NOW,
        counts=True,
        summary="s",
        services=("Email",),
        customer=TicketCustomer(id="acme", name="Acme"),
        severity=2,
    )
    reached = base.model_copy(update={"contact_email": "ada@acme.example"})
    ticket = opening("desk", "T-1", [reached], desk(), NOW, NOW)
    assert ticket is not None
    assert (ticket.contact.name, ticket.default_flags) == ("ada@acme.example", ())
    with pytest.raises(UnmappedError) as caught:
        opening("desk", "T-1", [base.model_copy(update={"contact_name": "Ada"})], desk(), NOW, NOW)
    assert caught.value.reason == "missing_contact"


def test_the_schema_is_current_and_takes_the_shipped_integrations() -> None:
    current = (FOLDER / "integrations.schema.json").read_text("utf-8")
    assert current == schema_text(), "run: python -m intake hooks schema > deploy/policy/integrations.schema.json"
    written = YAML(typ="safe", pure=True).load(FOLDER / "integrations.yaml")
    # As an editor sees it: every name is text, every instant as it is written.
    jsonschema.validate(json.loads(json.dumps(written, default=str)), json.loads(current))
