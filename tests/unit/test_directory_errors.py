"""Errors of a directory: each names file, line and field, says what is wrong, and what to write instead."""

from typing import NamedTuple

import pytest
from tocsin.directory import DirectoryError, load_directory

LEAD = "service_desk_team_lead"
PEOPLE = """\
people:
  ana: { name: Ana Silva, email: ana@example.com }
  ben: { name: Ben Okafor, email: ben@example.com }
"""
SPAN = "from: 2026-03-01T00:00:00Z, to: 2026-03-02T00:00:00Z"


class Mistake(NamedTuple):
    """What follows below PEOPLE, from line 4 on, and the line and text of the error."""

    text: str
    line: int
    error: str


def entry(*entries: str, line: int = 6, error: str) -> Mistake:
    """A mistake in the entries of a role, which begin in line 6."""
    text = "".join(f"    - {one}\n" for one in entries)
    return Mistake(f"roles:\n  account_manager:\n{text}", line, f"roles.account_manager{error}")


def rotation(text: str, error: str) -> Mistake:
    return Mistake(f"rotations:\n  p: {{ {text} }}\nroles: {{}}\n", 5, f"rotations.p{error}")


def override(*overrides: str, line: int = 5, error: str) -> Mistake:
    text = "".join(f"  - {{ {one} }}\n" for one in overrides)
    return Mistake(f"overrides:\n{text}roles: {{}}\n", line, f"overrides{error}")


MISTAKES = {
    "unknown role": Mistake(
        "roles:\n  account_manger: [{ person: ana }]\n",
        5,
        "roles.account_manger: unknown role `account_manger`; use one of service_desk_team_lead, senior_it_operations_"
        "manager, it_operations_director, account_manager, chief_operating_officer, chief_executive_officer, or add it "
        "to own_roles",
    ),
    "unknown person": entry(
        "person: anna",
        error="[0].person: unknown person `anna`; add them under people with name and email, or did you mean `ana`?",
    ),
    "unknown reader of a report": Mistake(
        "reports:\n  - { to: [ana] }\n  - { customer: acme, to: [ben, anna] }\nroles: {}\n",
        6,
        "reports[1].to[1]: unknown person `anna`; add them under people with name and email, or did you mean `ana`?",
    ),
    "report to a person twice": Mistake(
        "reports:\n  - { to: [ana, ben] }\n  - { to: [ana] }\nroles: {}\n",
        6,
        "reports[1].to[0]: `ana` gets this report already, by entry 1; keep one of the two",
    ),
    "unknown rotation": entry(
        "rotation: primary", error="[0].rotation: unknown rotation `primary`; add it under rotations"
    ),
    "no holder": entry("customer: acme", error="[0].person: is missing; add it, or name a rotation"),
    "two holders": entry(
        "{ person: ana, rotation: primary }",
        error="[0].rotation: cannot be combined with a person; keep one of the two",
    ),
    "unknown field": entry("{ person: ana, form: x }", error="[0].form: unknown field; did you mean `from`?"),
    "instant without a zone": entry(
        "{ person: ana, from: 2026-06-08T12:00:00 }",
        error="[0].from: has no time zone; add one, for example 2026-06-08T00:00:00Z",
    ),
    "date instead of an instant": entry(
        "{ person: ana, from: 2026-06-08 }",
        error="[0].from: is not a date and time; write it like 2026-06-08T00:00:00Z",
    ),
    "end before the start": entry(
        "person: ana\n      from: 2026-06-08T12:00:00Z\n      to: 2026-06-08T12:00:00Z",
        line=8,
        error="[0].to: is not after `from`, 2026-06-08T12:00:00.000000Z; write a later instant",
    ),
    "overlapping entries": entry(
        "{ person: ana, to: 2026-06-09T00:00:00Z }",
        "{ person: ben, from: 2026-06-08T00:00:00Z }",
        line=7,
        error="[1]: overlaps with entry 1, `ana`; end one where the other starts, or write cover under overrides",
    ),
    "overlapping entries of one customer": entry(
        "{ person: ana, customer: acme }",
        "{ person: ben, customer: acme }",
        line=7,
        error="[1]: overlaps with entry 1, `ana`; end one where the other starts, or write cover under overrides",
    ),
    "entry inside another": entry(
        "person: ana",
        "{ person: ben, from: 2026-06-08T00:00:00Z, to: 2026-06-09T00:00:00Z }",
        line=7,
        error="[1]: overlaps with entry 1, `ana`; end one where the other starts, or write cover under overrides",
    ),
    "rotation of no kind": rotation(
        "zone: UTC, members: [ana]",
        ".turns: is missing; add it, for example turns: weekly, or use handovers or a calendar",
    ),
    "rotation of two kinds": rotation(
        "zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00, handovers: [2026-01-01T09:00]",
        ".handovers: cannot be combined with `turns`; keep one of them",
    ),
    "rotation without a start": rotation(
        "zone: UTC, members: [ana], turns: daily", ".start: is missing; add it, for example start: 2026-06-08T09:00"
    ),
    "handovers with a start": rotation(
        "zone: UTC, members: [ana], start: 2026-01-01T09:00, handovers: [2026-01-01T09:00]",
        ".start: cannot be combined with `handovers`; remove it",
    ),
    "rotation without members": rotation(
        "zone: UTC, turns: daily, start: 2026-01-01T09:00", ".members: is missing; list the people who take turns"
    ),
    "calendar with members": rotation(
        "zone: UTC, members: [ana], calendar: { file: a.ics }", ".members: cannot be combined with `calendar`; remove"
    ),
    "unknown member": rotation(
        "zone: UTC, members: [ana, bo], turns: daily, start: 2026-01-01T09:00",
        ".members[1]: unknown person `bo`; add them under people with name and email",
    ),
    "abbreviated zone": rotation(
        "zone: EDT, members: [ana], turns: daily, start: 2026-01-01T09:00",
        ".zone: `EDT` is not an IANA time zone; write it like zone: America/New_York",
    ),
    "local time with a zone": rotation(
        "zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00:00Z",
        ".start: `2026-01-01T09:00:00Z` is not a local time; write it like 2026-06-08T09:00, without a zone",
    ),
    "turns of half an hour": rotation(
        "zone: UTC, members: [ana], turns: 30m, start: 2026-01-01T09:00",
        ".turns: `30m` is not the length of a turn; write weekly, daily, or at least 1h, such as 12h",
    ),
    "unsorted handovers": rotation(
        "zone: UTC, members: [ana], handovers: [2026-01-02T09:00, 2026-01-01T09:00]",
        ".handovers[1]: is not after 2026-01-02T09:00; sort the handovers",
    ),
    "overlapping hours": rotation(
        "zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00, "
        'only: { monday-friday: "08:00-17:00", monday: "16:00-18:00" }',
        ".only.monday: windows of monday overlap; join or separate them",
    ),
    "no hours": rotation(
        "zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00, only: {}",
        ".only: has no hours; add some, for example monday-friday: 08:00-17:00",
    ),
    "calendar without a location": rotation(
        "zone: UTC, calendar: {}",
        ".calendar: must have exactly one of file, url, url_env and url_file; write it like file: on-call.ics",
    ),
    "calendar address without TLS": rotation(
        "zone: UTC, calendar: { url: 'http://a.example/secret-token' }",
        ".calendar.url: is not an https address; write it like https://calendar.example.com/on-call.ics",
    ),
    "override that covers nothing": override(
        f"person: ana, {SPAN}", error="[0].role: is missing; add it, or name a person as `instead_of`"
    ),
    "override that covers role and person": override(
        f"role: {LEAD}, instead_of: ben, person: ana, {SPAN}",
        error="[0].role: cannot be combined with `instead_of`; keep one of the two",
    ),
    "override without an end": override(
        "instead_of: ben, person: ana, from: 2026-03-01T00:00:00Z",
        error="[0].to: is missing; add it, for example to: 2026-06-15T00:00:00Z",
    ),
    "override of a person for one customer": override(
        f"instead_of: ben, customer: acme, person: ana, {SPAN}",
        error="[0].customer: cannot be combined with `instead_of`, which covers every role; name the role instead",
    ),
    "override of oneself": override(
        f"instead_of: ben, person: ben, {SPAN}", error="[0].person: `ben` cannot cover for themselves; name another"
    ),
    "override of an unknown person": override(
        f"instead_of: bo, person: ana, {SPAN}", error="[0].instead_of: unknown person `bo`; add them under people"
    ),
    "override of an unknown role": override(
        f"role: boss, person: ana, {SPAN}", error="[0].role: unknown role `boss`; use one of service_desk_team_lead"
    ),
    "overlapping overrides": override(
        f"role: {LEAD}, person: ana, {SPAN}",
        f"role: {LEAD}, person: ben, {SPAN}",
        line=6,
        error="[1]: overlaps with entry 1, `ana`; end one where the other starts",
    ),
    "cycle of cover": override(
        f"instead_of: ben, person: ana, {SPAN}",
        f"instead_of: ana, person: ben, {SPAN}",
        error="[0]: `ana` covers for `ben`, `ben` for `ana` (entry 2): a cycle from 2026-03-01T00:00:00.000000Z on; "
        "remove one of them",
    ),
    "group address of an unknown role": Mistake(
        "group_addresses:\n  - { role: boss, email: a@example.com }\nroles: {}\n",
        5,
        "group_addresses[0].role: unknown role `boss`; use one of service_desk_team_lead",
    ),
    "two group addresses of one role": Mistake(
        "group_addresses:\n"
        "  - { role: account_manager, email: a@example.com }\n"
        "  - { role: account_manager, email: b@example.com }\n"
        "roles: {}\n",
        6,
        "group_addresses[1]: has the same role and customer as entry 1; keep one of the two",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_an_error_names_its_line_its_field_and_what_to_write(mistake: Mistake) -> None:
    with pytest.raises(DirectoryError) as refusal:
        load_directory(PEOPLE + mistake.text, "directory.yaml")
    problem = refusal.value.problems[0]
    assert problem.startswith(f"directory.yaml:{mistake.line}: {mistake.error}")
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "directory.yaml:1: the document is empty; write fields and values, starting with `people:`"),
        ("- ana", "directory.yaml:1: the document is not a mapping; write fields and values, starting with `people:`"),
        (
            "people:\n  ana silva: { name: Ana, email: ana@example.com }\nroles: {}\n",
            "directory.yaml:2: people.ana silva: `ana silva` is not a valid id; write 1 to 100 letters A to Z, digits "
            "and _ . : @ -, starting with a letter or digit",
        ),
        (
            "people:\n  ana: { name: '', email: ana@example.com }\nroles: {}\n",
            "directory.yaml:2: people.ana.name: `` is empty, too long, or has spaces around it; write 1 to 100 "
            "characters on one line",
        ),
        (
            "people:\n  ana: { name: Ana, email: ana }\nroles: {}\n",
            "directory.yaml:2: people.ana.email: value is not a valid email address: An email address must have an "
            "@-sign; write it like email: dana.whitfield@example.com",
        ),
        (
            "people:\n  ana: { name: A, email: a@example.com, fallbacks: [a@example.com] }\nroles: {}\n",
            "directory.yaml:2: people.ana.fallbacks[0]: `a@example.com` is listed twice; keep one of the two",
        ),
        (
            "people:\n  ana: { name: A, email: a@example.com, phone: call me }\nroles: {}\n",
            "directory.yaml:2: people.ana.phone: `call me` is not a phone number; write digits, such as "
            '"+1 212 555 0100", in quotes',
        ),
        (
            "people:\n  ana: { name: A, email: a@example.com, phone: +12125550100 }\nroles: {}\n",
            "directory.yaml:2: people.ana.phone: must be text; write it in quotes",
        ),
    ],
    ids=["empty", "list", "id", "name", "email", "fallback", "phone", "number"],
)
def test_an_error_of_the_people(text: str, error: str) -> None:
    with pytest.raises(DirectoryError) as refusal:
        load_directory(text, "directory.yaml")
    assert str(refusal.value) == error
