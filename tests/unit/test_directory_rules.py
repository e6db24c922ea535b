"""Which rule wins, turn by turn; what is refused of rotations and cover, at its line; what a check finds."""

from datetime import UTC, datetime

import pytest
from tocsin.directory import (
    Directory,
    DirectoryError,
    ICalendar,
    compute_shifts,
    find_gap,
    lint_directory,
    load_directory,
)

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
    return load_directory(text, "d.yaml")


def who(directory: Directory, at: str, customer: str | None = None) -> tuple[str, str] | None:
    found = directory.holder(LEAD, customer, datetime.fromisoformat(at))
    return (found.person, found.rule) if found else None


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
    assert who(directory, "2026-03-02T13:59Z") == ("cy", "default")
    assert who(directory, "2026-03-02T14:00Z") == ("ana", "rotation primary, week of 2026-03-02")
    assert who(directory, "2026-03-09T13:00Z") == ("ben", "rotation primary, week of 2026-03-09")
    assert who(directory, "2026-03-16T13:00Z", "acme") == (
        "ana",
        "customer acme: rotation primary, week of 2026-03-16",
    )
    assert who(directory, "2026-03-16T13:00Z", "globex") == ("ben", "customer globex")
    role_covered = ("cy", "override: until 2026-03-21 00:00 UTC")
    assert who(directory, "2026-03-20T12:30Z") == role_covered
    assert who(directory, "2026-03-20T12:30Z", "globex") == role_covered
    assert who(directory, "2026-03-20T12:30Z", "acme") == ("ben", "override: until 2026-03-20 13:00 UTC")
    assert who(directory, "2026-03-30T14:00Z") == (
        "cy",
        "override: instead of Ana Silva until 2026-03-31 00:00 UTC (holiday)",
    )
    assert who(directory, "2026-05-01T00:00Z") == ("cy", "default")


def test_a_person_with_both_dates_is_an_exception_and_comes_before_a_rotation() -> None:
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
    assert who(directory, "2026-03-03T12:00Z") == ("cy", "default")
    assert who(directory, "2026-03-04T00:00Z") == ("ana", "rotation primary, week of 2026-03-02")


def test_who_stands_in_may_be_stood_in_for() -> None:
    directory = load(
        PEOPLE
        + """\
roles: { service_desk_team_lead: [{ person: ana }] }
overrides:
  - { instead_of: ana, person: ben, from: 2026-03-01T00:00:00Z, to: 2026-03-05T00:00:00Z }
  - { instead_of: ben, person: cy, from: 2026-03-02T00:00:00Z, to: 2026-03-03T00:00:00Z }
"""
    )
    persons = [who(directory, f"2026-03-0{day}T12:00Z") for day in (1, 2, 3)]
    assert [found and found[0] for found in persons] == ["ben", "cy", "ben"]


@pytest.mark.parametrize(
    ("start", "turns", "first", "second"),
    [
        ("2026-03-07T02:30", "daily", "2026-03-07T07:30Z", "2026-03-08T07:00Z"),  # left out: as the clocks jump
        ("2026-10-31T01:30", "daily", "2026-10-31T05:30Z", "2026-11-01T05:30Z"),  # twice: the first
        ("2026-10-31T20:00", "12h", "2026-11-01T00:00Z", "2026-11-01T13:00Z"),
    ],
)
def test_a_handover_is_when_the_wall_first_shows_its_time(start: str, turns: str, first: str, second: str) -> None:
    directory = load(
        PEOPLE
        + NEW_YORK.replace("2026-03-02T09:00", start).replace("weekly", turns)
        + "roles: { service_desk_team_lead: [{ rotation: primary }] }\n"
    )
    found = [shift.starts_at for shift in compute_shifts(directory, LEAD, None, *YEAR) if shift.holder]
    assert found[:2] == [datetime.fromisoformat(first), datetime.fromisoformat(second)]


def test_handovers_one_by_one() -> None:
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
    assert who(directory, "2026-12-24T16:59Z") is None
    assert who(directory, "2026-12-24T17:00Z") == ("ana", "rotation holidays, turn of 2026-12-24 18:00 CET")
    assert who(directory, "2030-01-01T00:00Z") == ("ben", "rotation holidays, turn of 2026-12-26 18:00 CET")


YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def test_the_next_gap_and_what_a_check_finds() -> None:
    directory = load(
        PEOPLE
        + NEW_YORK
        + """\
roles:
  service_desk_team_lead:
    - { person: ana, to: 2026-02-01T00:00:00Z }
    - { rotation: primary, to: 2026-07-01T00:00:00Z }
    - { person: cy, from: 2026-08-01T00:00:00Z }
  senior_it_operations_manager: [{ rotation: primary }, { person: ben, to: 2026-12-01T00:00:00Z }]
  it_operations_director: [{ rotation: primary }, { rotation: primary }, { person: ben, to: 2026-04-01T00:00:00Z }]
  account_manager: [{ person: ana }, { person: ben, customer: acme, from: 2020-01-01T00:00:00Z }]
  chief_operating_officer: [{ person: ana }]
"""
    )
    first = find_gap(directory, LEAD, *YEAR)
    assert first is not None
    assert (first.starts_at, first.ends_at) == (
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime.fromisoformat("2026-03-02T14:00Z"),
    )
    assert find_gap(directory, "account_manager", *YEAR) is None
    told = [(finding.place, finding.message) for finding in lint_directory(directory, *YEAR)]
    vacant = "the tier is vacant; name somebody"
    assert told == [
        (("roles", LEAD), f"nobody holds it from 2026-02-01 00:00 UTC until 2026-03-02 14:00 UTC: {vacant}"),
        (("roles", LEAD), f"nobody holds it from 2026-07-01 00:00 UTC until 2026-08-01 00:00 UTC: {vacant}"),
        (
            ("roles", "chief_executive_officer"),
            f"nobody holds it from 2026-01-01 00:00 UTC on: {vacant}",
        ),
        (
            ("roles", "it_operations_director", 1),
            "never answers: others come before it at all times; remove it, or give them an end",
        ),
    ]


WEEKLY = "{ zone: UTC, members: [ana, ben], turns: weekly, start: 2026-01-01T00:00 }"
SPARES = {
    "a default": "[{ rotation: p }, { person: cy }]",
    "a default that begins, and one that ends": (
        "[{ rotation: p }, { person: cy, to: 2026-05-01T00:00:00Z }, { person: ben, from: 2026-05-01T00:00:00Z }]"
    ),
    "a customer's default": "[{ person: cy }, { rotation: p, customer: acme }, { person: ben, customer: acme }]",
    "what comes after a year": "[{ rotation: p, to: 2028-01-01T00:00:00Z }, { rotation: q }]",
    "what comes after a person": (
        "[{ person: cy, from: 2026-01-01T00:00:00Z, to: 2028-01-01T00:00:00Z }, { rotation: p }]"
    ),
    "what is below a calendar": "[{ rotation: feed }, { rotation: p }]",
    "what begins after a year": "[{ rotation: late }, { person: cy }]",
}


@pytest.mark.parametrize("entries", SPARES.values(), ids=SPARES)
def test_a_check_lets_stand_what_answers_when_others_do_not(entries: str) -> None:
    directory = load(f"""\
{PEOPLE}own_roles: [night_desk]
rotations:
  p: {WEEKLY}
  q: {WEEKLY}
  late: {{ zone: UTC, members: [ana], turns: weekly, start: 2028-01-01T00:00 }}
  feed: {{ zone: UTC, calendar: {{ file: desk.ics }} }}
roles: {{ night_desk: {entries} }}
overrides:
  - {{ role: night_desk, person: ben, from: 2025-01-01T00:00:00Z, to: 2028-01-01T00:00:00Z }}
""")
    always = "DTSTART;VALUE=DATE:20250101\nDTEND;VALUE=DATE:20290101\nSUMMARY:ana"
    event = f"BEGIN:VEVENT\nUID:1\n{always}\nEND:VEVENT\n"
    calendar = ICalendar(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{event}END:VCALENDAR\n", "UTC")
    found = lint_directory(directory.with_calendars({"feed": calendar}), *YEAR)
    assert [finding for finding in found if finding.place[:2] == ("roles", "night_desk")] == []


WRONG = {
    "no kind": ("p: { zone: UTC, members: [ana] }", "rotations.p.turns: is missing; state it, for example weekly"),
    "two kinds": (
        "p: { zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00, handovers: [2026-01-01T09:00] }",
        "rotations.p.handovers: `turns` and `handovers` stand side by side; keep one of them",
    ),
    "no start": ("p: { zone: UTC, members: [ana], turns: daily }", "rotations.p.start: is missing; state it"),
    "no members": ("p: { zone: UTC, turns: daily, start: 2026-01-01T09:00 }", "rotations.p.members: is missing; name"),
    "unknown member": (
        "p: { zone: UTC, members: [ana, bem], turns: daily, start: 2026-01-01T09:00 }",
        "rotations.p.members[1]: nobody is called `bem`; add the name and e-mail address under people, or did you mean",
    ),
    "no zone": (
        "p: { zone: EDT, members: [ana], turns: daily, start: 2026-01-01T09:00 }",
        "rotations.p.zone: `EDT` is no time zone; write it like zone: America/New_York",
    ),
    "with an offset": (
        "p: { zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00:00Z }",
        "rotations.p.start: `2026-01-01T09:00:00Z` is no local time; write it like 2026-06-08T09:00",
    ),
    "short turns": (
        "p: { zone: UTC, members: [ana], turns: 30m, start: 2026-01-01T09:00 }",
        "`30m` is no length of a turn; write weekly, daily, or from 1h on, like 12h",
    ),
    "unsorted": (
        "p: { zone: UTC, members: [ana], handovers: [2026-01-02T09:00, 2026-01-01T09:00] }",
        "rotations.p.handovers[1]: is not after 2026-01-02T09:00; sort them",
    ),
    "overlapping hours": (
        "p: { zone: UTC, members: [ana], turns: daily, start: 2026-01-01T09:00, "
        'only: { monday-friday: "08:00-17:00", monday: "16:00-18:00" } }',
        "rotations.p.only.monday: windows of monday overlap; join or part them",
    ),
    "no source": ("p: { zone: UTC, calendar: {} }", "rotations.p.calendar: must name one of file, url, url_env"),
    "plain http": (
        "p: { zone: UTC, calendar: { url: 'http://a.example/secret-token' } }",
        "rotations.p.calendar.url: is no https address; write it like https://calendar.example.com/on-call.ics",
    ),
}


@pytest.mark.parametrize(("rotation", "error"), WRONG.values(), ids=WRONG)
def test_a_wrong_rotation_is_told_with_its_line(rotation: str, error: str) -> None:
    assert error in refused(f"{PEOPLE}rotations:\n  {rotation}\nroles: {{}}\n", 6)


SPAN = "from: 2026-03-01T00:00:00Z, to: 2026-03-02T00:00:00Z"
COVER = {
    "nothing covered": (f"{{ person: ana, {SPAN} }}", "overrides[0].role: is missing; state it, or somebody as `inst"),
    "two things": (
        f"{{ role: {LEAD}, instead_of: ben, person: ana, {SPAN} }}",
        "overrides[0].role: stands beside `instead_of`; keep one of the two",
    ),
    "no end": ("{ instead_of: ben, person: ana, from: 2026-03-01T00:00:00Z }", "overrides[0].to: is missing; state it"),
    "for a customer": (
        f"{{ instead_of: ben, customer: acme, person: ana, {SPAN} }}",
        "overrides[0].customer: stands beside `instead_of`, which covers everything a person holds",
    ),
    "themselves": (f"{{ instead_of: ben, person: ben, {SPAN} }}", "`ben` cannot stand in for themselves; name another"),
    "unknown": (f"{{ instead_of: bo, person: ana, {SPAN} }}", "overrides[0].instead_of: nobody is called `bo`"),
    "no role": (f"{{ role: boss, person: ana, {SPAN} }}", "overrides[0].role: is no role of the ladder; use one of"),
    "at once": (
        f"{{ role: {LEAD}, person: ana, {SPAN} }}\n  - {{ role: {LEAD}, person: ben, {SPAN} }}",
        "overrides[1]: overlaps with entry 1, `ana`; let one end where the next begins",
    ),
    "a circle": (
        f"{{ instead_of: ben, person: ana, {SPAN} }}\n  - {{ instead_of: ana, person: ben, {SPAN} }}",
        "overrides[0]: `ana` stands in for `ben`, `ben` for `ana` (entry 2), in a circle from "
        "2026-03-01T00:00:00.000000Z on; let one of them work",
    ),
}


@pytest.mark.parametrize(("cover", "error"), COVER.values(), ids=COVER)
def test_wrong_cover_is_told_with_its_line(cover: str, error: str) -> None:
    line = 7 if cover.count("\n") and "overrides[1]" in error else 6
    assert error in refused(f"{PEOPLE}overrides:\n  - {cover}\nroles: {{}}\n", line)


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("{ rotation: primary }", "[0].rotation: no rotation is called `primary`; write it under rotations"),
        ("{ rotation: primary, person: ana }", "[0].rotation: stands beside a person; keep one of the two"),
    ],
)
def test_a_wrong_entry_is_told_with_its_line(entry: str, error: str) -> None:
    assert error in refused(f"{PEOPLE}roles:\n  {LEAD}: [{entry}]\n", 6)


def refused(text: str, line: int) -> str:
    with pytest.raises(DirectoryError) as refusal:
        load(text)
    problem = refusal.value.problems[0]
    assert problem.startswith(f"d.yaml:{line}: "), problem
    assert "secret" not in problem
    return problem
