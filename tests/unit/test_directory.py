"""Who holds which role when, and every way to get a directory wrong."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tocsin.directory import STANDARD_ROLES, DirectoryError, Holder, load_directory

DEPLOYED = (Path(__file__).parents[2] / "deploy/policy/directory.yaml").read_text("utf-8")
SHIPPED, _, _ = DEPLOYED.partition("\noverrides:")  # as README.md says to write at its end
PEOPLE = """\
people:
  ana: { name: Ana Silva, email: ana@example.com }
  ben: { name: Ben Okafor, email: ben@example.com }
"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("role", STANDARD_ROLES)
@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), at("2026-06-08T12:00Z"), at("9999-12-31T23:59Z")])
@pytest.mark.parametrize("customer", [None, "acme"])
def test_the_shipped_directory_fills_every_role_at_all_times(role: str, moment: datetime, customer: str | None) -> None:
    holder = load_directory(SHIPPED, "directory.yaml").holder(role, customer, moment)
    assert holder is not None
    assert holder.rule == "default"
    assert holder.email.endswith("@example.com")


def test_a_role_is_held_from_one_instant_until_just_before_another() -> None:
    directory = load_directory(
        PEOPLE
        + """\
roles:
  account_manager:
    - { person: ben, from: 2026-06-08T12:00:00Z, to: 2026-06-15T08:00:00-04:00 }
    - { person: ana, to: 2026-06-08T12:00:00Z }
""",
        "directory.yaml",
    )

    def holder(moment: str) -> str | None:
        found = directory.holder("account_manager", "acme", at(moment))
        return found.person if found else None

    assert holder("2026-06-08T11:59:59.999999Z") == "ana"
    assert holder("2026-06-08T12:00:00Z") == "ben"
    assert holder("2026-06-15T11:59:59.999999Z") == "ben"
    assert holder("2026-06-15T12:00:00Z") is None
    assert directory.holder("chief_executive_officer", "acme", at("2026-06-08T12:00Z")) is None


def test_a_customers_own_holder_comes_before_the_general_one() -> None:
    directory = load_directory(
        PEOPLE
        + """\
roles:
  account_manager:
    - { person: ana }
    - { person: ben, customer: acme, from: 2026-06-08T00:00:00Z }
""",
        "directory.yaml",
    )
    before, after = at("2026-06-07T00:00Z"), at("2026-06-09T00:00Z")
    general = Holder("ana", "Ana Silva", "ana@example.com", "default")
    assert directory.holder("account_manager", "acme", before) == general
    assert directory.holder("account_manager", "globex", after) == general
    assert directory.holder("account_manager", None, after) == general
    own = Holder("ben", "Ben Okafor", "ben@example.com", "customer acme")
    assert directory.holder("account_manager", "acme", after) == own


def test_roles_of_ones_own_are_named() -> None:
    directory = load_directory(PEOPLE + "own_roles: [night_desk]\nroles: { night_desk: [{ person: ana }] }", "d.yaml")
    assert directory.holder("night_desk", None, at("2026-06-08T12:00Z")) is not None


HOLDINGS = {
    "unknown role": (
        "  account_manger: [{ person: ana }]",
        5,
        "roles.account_manger: is no role of the ladder; use one",
    ),
    "unknown person": ("  account_manager: [{ person: anna }]", 5, "[0].person: nobody is called `anna`; add the name"),
    "no person": ("  account_manager: [{ customer: acme }]", 5, "[0].person: is missing; state it"),
    "unknown field": (
        "  account_manager: [{ person: ana, form: x }]",
        5,
        "[0].form: is no field here; did you mean `from`",
    ),
    "naive": (
        "  account_manager: [{ person: ana, from: 2026-06-08T12:00:00 }]",
        5,
        "[0].from: has no time zone; write one",
    ),
    "only a date": (
        "  account_manager: [{ person: ana, from: 2026-06-08 }]",
        5,
        "[0].from: is no instant; write it like",
    ),
    "ends before it starts": (
        "  account_manager:\n    - person: ana\n      from: 2026-06-08T12:00:00Z\n      to: 2026-06-08T12:00:00Z",
        8,
        "[0].to: is not after `from`, 2026-06-08T12:00:00.000000Z; end later",
    ),
    "overlap": (
        "  account_manager:\n"
        "    - { person: ana, to: 2026-06-09T00:00:00Z }\n"
        "    - { person: ben, from: 2026-06-08T00:00:00Z }",
        7,
        "[1]: overlaps with `ana`, entry 1 of the list; let one end",
    ),
    "overlap for one customer": (
        "  account_manager:\n    - { person: ana, customer: acme }\n    - { person: ben, customer: acme }",
        7,
        "[1]: overlaps with `ana`",
    ),
    "overlap inside a longer one": (
        "  account_manager:\n"
        "    - { person: ana }\n"
        "    - { person: ben, from: 2026-06-08T00:00:00Z, to: 2026-06-09T00:00:00Z }",
        7,
        "[1]: overlaps with `ana`",
    ),
}


@pytest.mark.parametrize(("holding", "line", "error"), HOLDINGS.values(), ids=HOLDINGS)
def test_a_slip_is_told_with_its_line(holding: str, line: int, error: str) -> None:
    with pytest.raises(DirectoryError) as refusal:
        load_directory(f"{PEOPLE}roles:\n{holding}\n", "directory.yaml")
    (problem,) = refusal.value.problems
    assert problem.startswith(f"directory.yaml:{line}: roles.account_man")
    assert error in problem


def test_a_person_without_an_address_is_refused() -> None:
    with pytest.raises(DirectoryError, match=r"d.yaml:2: people.ana.email: .*; write it like email: "):
        load_directory("people:\n  ana: { name: Ana, email: ana }\nroles: {}\n", "d.yaml")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "d.yaml:1: is empty; write fields and values, `people:` first"),
        ("- ana", "d.yaml:1: is no mapping; write fields and values, `people:` first"),
        (
            "people:\n  ana silva: { name: Ana, email: ana@example.com }\nroles: {}\n",
            "d.yaml:2: people.ana silva: `ana silva` is no id; write letters A to Z, digits and _ . : @ - only, "
            "a letter or digit first, 100 at most",
        ),
        (
            "people:\n  ana: { name: '', email: ana@example.com }\nroles: {}\n",
            "d.yaml:2: people.ana.name: `` is empty, too long, or has spaces around it; write 1 to 100 characters on "
            "one line",
        ),
        (
            "people:\n  ana: { name: Ana, email: ana }\nroles: {}\n",
            "d.yaml:2: people.ana.email: value is not a valid email address: An email address must have an @-sign; "
            "write it like email: dana.whitfield@example.com",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, error: str) -> None:
    with pytest.raises(DirectoryError) as refusal:
        load_directory(text, "d.yaml")
    assert str(refusal.value) == error


def test_a_person_has_further_addresses_and_a_role_a_group_address() -> None:
    directory = load_directory(
        """\
people:
  ana: { name: Ana Silva, email: ana@example.com, fallbacks: [ana@example.org, ana@example.net] }
roles:
  account_manager: [{ person: ana }]
group_addresses:
  - { role: account_manager, email: accounts@example.com }
  - { role: account_manager, customer: acme, email: acme@example.com }
""",
        "directory.yaml",
    )
    holder = directory.holder("account_manager", "acme", at("2026-06-08T12:00Z"))
    assert holder is not None
    assert holder.fallbacks == ("ana@example.org", "ana@example.net")
    assert directory.group_address("account_manager", "acme") == "acme@example.com"
    assert directory.group_address("account_manager", "globex") == "accounts@example.com"
    assert directory.group_address("account_manager", None) == "accounts@example.com"
    assert directory.group_address("chief_executive_officer", "acme") is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("people:\n  ana: { name: A, email: a@example.com, fallbacks: [a@] }", "d.yaml:2: people.ana.fallbacks[0]: "),
        (
            "people:\n  ana: { name: A, email: a@example.com, fallbacks: [a@example.com] }",
            "d.yaml:2: people.ana.fallbacks[0]: `a@example.com` stands here already",
        ),
        (
            "people: {}\ngroup_addresses:\n  - { role: boss, email: a@example.com }",
            "d.yaml:3: group_addresses[0].role: is no role of the ladder",
        ),
        (
            "people: {}\ngroup_addresses:\n"
            "  - { role: account_manager, email: a@example.com }\n  - { role: account_manager, email: b@example.com }",
            "d.yaml:4: group_addresses[1]: entry 1 is for the same; keep one",
        ),
    ],
)
def test_a_wrong_address_is_told_with_its_line(text: str, error: str) -> None:
    with pytest.raises(DirectoryError) as refusal:
        load_directory(f"{text}\nroles: {{}}\n", "d.yaml")
    assert refusal.value.problems[0].startswith(error)
