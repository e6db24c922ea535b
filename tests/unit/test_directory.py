"""Who holds a role: entries, customers, rotations, cover, and the order of the rules between them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tocsin.directory import STANDARD_ROLES, Directory, DirectoryError, Holder, compute_shifts, load_directory

DEPLOYED = (Path(__file__).parents[2] / "deploy/policy/directory.yaml").read_text("utf-8")
SHIPPED, _, _ = DEPLOYED.partition("\noverrides:")  # README.md tells people to add overrides at its end
LEAD = "service_desk_team_lead"
PEOPLE = """\
people:
  ana: { name: Ana Silva, email: ana@example.com }
  ben: { name: Ben Okafor, email: ben@example.com }
  cy: { name: Cy Young, email: cy@example.com }
"""
NEW_YORK = """\
rotations:
  primary:
    zone: America/New_York
    members: [ana, ben]
    turns: weekly
    start: 2026-03-02T09:00
"""


def load(text: str) -> Directory:
    return load_directory(text, "directory.yaml")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def holder_and_rule(directory: Directory, instant: str, customer: str | None = None) -> tuple[str, str] | None:
    found = directory.holder(LEAD, customer, at(instant))
    return (found.person, found.rule) if found else None


@pytest.mark.parametrize("role", STANDARD_ROLES)
@pytest.mark.parametrize("instant", [datetime(1, 1, 1, tzinfo=UTC), at("2026-06-08T12:00Z"), at("9999-12-31T23:59Z")])
@pytest.mark.parametrize("customer", [None, "acme"])
def test_the_shipped_directory_has_no_vacancy(role: str, instant: datetime, customer: str | None) -> None:
    holder = load(SHIPPED).holder(role, customer, instant)
    assert holder is not None
    assert holder.rule == "default"
    assert holder.email.endswith("@example.com")


def test_an_entry_applies_from_its_start_until_just_before_its_end() -> None:
    directory = load(
        PEOPLE
        + """\
roles:
  service_desk_team_lead:
    - { person: ben, from: 2026-06-08T12:00:00Z, to: 2026-06-15T08:00:00-04:00 }
    - { person: ana, to: 2026-06-08T12:00:00Z }
"""
    )
    assert holder_and_rule(directory, "2026-06-08T11:59:59.999999Z") == ("ana", "default")
    assert holder_and_rule(directory, "2026-06-08T12:00:00Z") == ("ben", "default")
    assert holder_and_rule(directory, "2026-06-15T11:59:59.999999Z") == ("ben", "default")
    assert holder_and_rule(directory, "2026-06-15T12:00:00Z") is None
    assert directory.holder("chief_executive_officer", "acme", at("2026-06-08T12:00Z")) is None


@pytest.mark.rule("5.17")
def test_a_customers_own_holder_goes_before_the_general_one() -> None:
    directory = load(
        PEOPLE
        + """\
roles:
  account_manager:
    - { person: ana }
    - { person: ben, customer: acme, from: 2026-06-08T00:00:00Z }
"""
    )
    before, after = at("2026-06-07T00:00Z"), at("2026-06-09T00:00Z")
    general = Holder("ana", "Ana Silva", "ana@example.com", "default")
    assert directory.holder("account_manager", "acme", before) == general
    assert directory.holder("account_manager", "globex", after) == general
    assert directory.holder("account_manager", None, after) == general
    own = Holder("ben", "Ben Okafor", "ben@example.com", "customer acme")
    assert directory.holder("account_manager", "acme", after) == own


def test_a_directory_may_declare_its_own_roles() -> None:
    directory = load(PEOPLE + "own_roles: [night_desk]\nroles: { night_desk: [{ person: ana }] }")
    assert directory.holder("night_desk", None, at("2026-06-08T12:00Z")) is not None


def test_a_person_has_fallback_addresses_and_a_role_has_group_addresses() -> None:
    directory = load(
        """\
people:
  ana: { name: Ana Silva, email: ana@example.com, fallbacks: [ana@example.org, ana@example.net] }
roles:
  account_manager: [{ person: ana }]
group_addresses:
  - { role: account_manager, email: accounts@example.com }
  - { role: account_manager, customer: acme, email: acme@example.com }
"""
    )
    holder = directory.holder("account_manager", "acme", at("2026-06-08T12:00Z"))
    assert holder is not None
    assert holder.fallbacks == ("ana@example.org", "ana@example.net")
    assert directory.group_address("account_manager", "acme") == "acme@example.com"
    assert directory.group_address("account_manager", "globex") == "accounts@example.com"
    assert directory.group_address("account_manager", None) == "accounts@example.com"
    assert directory.group_address("chief_executive_officer", "acme") is None


@pytest.mark.rule("5.18")
def test_the_order_of_the_rules() -> None:
    directory = load(
        PEOPLE
        + NEW_YORK
        + """\
roles:
  service_desk_team_lead:
    - person: cy
    - { rotation: primary, to: 2026-05-01T00:00:00Z }
    - { rotation: primary, customer: acme, from: 2026-03-16T00:00:00Z, to: 2026-03-17T00:00:00Z }
    - { person: ben, customer: globex }
overrides:
  - { role: service_desk_team_lead, person: cy, from: 2026-03-20T00:00:00Z, to: 2026-03-21T00:00:00Z }
  - { role: service_desk_team_lead, customer: acme, person: ben, from: 2026-03-20T12:00:00Z, to: 2026-03-20T13:00:00Z }
  - { instead_of: ana, person: cy, from: 2026-03-30T00:00:00Z, to: 2026-03-31T00:00:00Z, reason: holiday }
"""
    )
    assert holder_and_rule(directory, "2026-03-02T13:59Z") == ("cy", "default")
    assert holder_and_rule(directory, "2026-03-02T14:00Z") == ("ana", "rotation primary, week of 2026-03-02")
    assert holder_and_rule(directory, "2026-03-09T13:00Z") == ("ben", "rotation primary, week of 2026-03-09")
    assert holder_and_rule(directory, "2026-03-16T13:00Z", "acme") == (
        "ana",
        "customer acme: rotation primary, week of 2026-03-16",
    )
    assert holder_and_rule(directory, "2026-03-16T13:00Z", "globex") == ("ben", "customer globex")
    covered = ("cy", "override: until 2026-03-21 00:00 UTC")
    assert holder_and_rule(directory, "2026-03-20T12:30Z") == covered
    assert holder_and_rule(directory, "2026-03-20T12:30Z", "globex") == covered
    assert holder_and_rule(directory, "2026-03-20T12:30Z", "acme") == ("ben", "override: until 2026-03-20 13:00 UTC")
    assert holder_and_rule(directory, "2026-03-30T14:00Z") == (
        "cy",
        "override: instead of Ana Silva until 2026-03-31 00:00 UTC (holiday)",
    )
    assert holder_and_rule(directory, "2026-05-01T00:00Z") == ("cy", "default")


@pytest.mark.rule("5.18")
def test_a_person_with_both_dates_goes_before_a_rotation() -> None:
    directory = load(
        PEOPLE
        + NEW_YORK
        + """\
roles:
  service_desk_team_lead:
    - rotation: primary
    - { person: cy, from: 2026-03-03T00:00:00Z, to: 2026-03-04T00:00:00Z }
"""
    )
    assert holder_and_rule(directory, "2026-03-03T12:00Z") == ("cy", "default")
    assert holder_and_rule(directory, "2026-03-04T00:00Z") == ("ana", "rotation primary, week of 2026-03-02")


def test_a_person_who_covers_may_be_covered() -> None:
    directory = load(
        PEOPLE
        + """\
roles: { service_desk_team_lead: [{ person: ana }] }
overrides:
  - { instead_of: ana, person: ben, from: 2026-03-01T00:00:00Z, to: 2026-03-05T00:00:00Z }
  - { instead_of: ben, person: cy, from: 2026-03-02T00:00:00Z, to: 2026-03-03T00:00:00Z }
"""
    )
    found = [holder_and_rule(directory, f"2026-03-0{day}T12:00Z") for day in (1, 2, 3)]
    assert [holder and holder[0] for holder in found] == ["ben", "cy", "ben"]


@pytest.mark.parametrize(
    ("start", "turns", "first", "second"),
    [
        ("2026-03-07T02:30", "daily", "2026-03-07T07:30Z", "2026-03-08T07:00Z"),  # skipped: when the clocks jump
        ("2026-10-31T01:30", "daily", "2026-10-31T05:30Z", "2026-11-01T05:30Z"),  # repeated: the first time
        ("2026-10-31T20:00", "12h", "2026-11-01T00:00Z", "2026-11-01T13:00Z"),
    ],
)
def test_a_turn_begins_when_the_wall_clock_first_shows_its_time(
    start: str, turns: str, first: str, second: str
) -> None:
    directory = load(
        PEOPLE
        + NEW_YORK.replace("2026-03-02T09:00", start).replace("weekly", turns)
        + "roles: { service_desk_team_lead: [{ rotation: primary }] }\n"
    )
    year = at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z")
    found = [shift.starts_at for shift in compute_shifts(directory, LEAD, None, *year) if shift.holder]
    assert found[:2] == [at(first), at(second)]


def test_turns_between_listed_handovers() -> None:
    directory = load(
        PEOPLE
        + """\
rotations:
  holidays:
    zone: Europe/Rome
    members: [ana, ben, cy]
    handovers: [2026-12-24T18:00, 2026-12-26T18:00]
roles: { service_desk_team_lead: [{ rotation: holidays }] }
"""
    )
    assert holder_and_rule(directory, "2026-12-24T16:59Z") is None
    assert holder_and_rule(directory, "2026-12-24T17:00Z") == (
        "ana",
        "rotation holidays, turn of 2026-12-24 18:00 CET",
    )
    assert holder_and_rule(directory, "2030-01-01T00:00Z") == (
        "ben",
        "rotation holidays, turn of 2026-12-26 18:00 CET",
    )


@pytest.mark.parametrize(
    "phone",
    [
        "+12125550100",
        "+1 212 555 0100",
        "(212) 555-0100",
        "+44 (0)20 7946 0958",
        "0800/555.01.00",
        "112",
        "555 0100 ext. 7",
    ],
)
def test_a_phone_number_is_shown_as_written(phone: str) -> None:
    people = f'people:\n  ana: {{ name: Ana, email: ana@example.com, phone: "{phone}" }}\n'
    holder = load(people + f"roles:\n  {LEAD}: [{{ person: ana }}]\n").holder(LEAD, None, at("2026-03-02T09:00Z"))
    assert holder is not None
    assert holder.phone == phone


@pytest.mark.parametrize("phone", ["", "+", "1", "ana@example.com", "+1\\n2", "12 ext. 123456789", "1" * 40, "١٢٣"])
def test_text_that_nobody_can_dial_is_not_a_phone_number(phone: str) -> None:
    with pytest.raises(DirectoryError, match="is not a phone number"):
        load(f'people:\n  ana: {{ name: Ana, email: ana@example.com, phone: "{phone}" }}\nroles: {{}}\n')


def test_people_are_found_by_any_of_their_addresses() -> None:
    known = load(
        "people:\n"
        "  ana: { name: Ana, email: Ana@example.com, fallbacks: [team@example.com] }\n"
        "  ben: { name: Ben, email: team@example.com }\n"
        "roles: {}\n"
    )
    assert [known.person_at(address) for address in ("ana@EXAMPLE.com", "team@example.com", "cy@example.com")] == [
        "ana",
        "ana",
        None,
    ]
