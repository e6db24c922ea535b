"""Gaps, and the other problems that lint finds in a valid directory."""

from datetime import UTC, datetime

import pytest
from tocsin.directory import Directory, ICalendar, find_gap, lint_directory, load_directory

LEAD = "service_desk_team_lead"
YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
WEEKLY = "{ zone: UTC, members: [ana, ben], turns: weekly, start: 2026-01-01T00:00 }"
PEOPLE = """\
people:
  ana: { name: Ana Silva, email: ana@example.com }
  ben: { name: Ben Okafor, email: ben@example.com }
  cy: { name: Cy Young, email: cy@example.com }
"""


def load(text: str) -> Directory:
    return load_directory(PEOPLE + text, "directory.yaml")


def test_vacancies_and_rotations_that_never_apply_are_found() -> None:
    directory = load("""\
rotations:
  primary: { zone: America/New_York, members: [ana, ben], turns: weekly, start: 2026-03-02T09:00 }
roles:
  service_desk_team_lead:
    - { person: ana, to: 2026-02-01T00:00:00Z }
    - { rotation: primary, to: 2026-07-01T00:00:00Z }
    - { person: cy, from: 2026-08-01T00:00:00Z }
  senior_it_operations_manager: [{ rotation: primary }, { person: ben, to: 2026-12-01T00:00:00Z }]
  it_operations_director: [{ rotation: primary }, { rotation: primary }, { person: ben, to: 2026-04-01T00:00:00Z }]
  account_manager: [{ person: ana }, { person: ben, customer: acme, from: 2020-01-01T00:00:00Z }]
  chief_operating_officer: [{ person: ana }]
""")
    first = find_gap(directory, LEAD, *YEAR)
    assert first is not None
    assert (first.starts_at, first.ends_at) == (
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 3, 2, 14, tzinfo=UTC),
    )
    assert find_gap(directory, "account_manager", *YEAR) is None
    skipped = "so the ladder skips its tier; add a holder"
    assert [(finding.path, finding.message) for finding in lint_directory(directory, *YEAR)] == [
        (("roles", LEAD), f"vacant from 2026-02-01 00:00 UTC until 2026-03-02 14:00 UTC, {skipped}"),
        (("roles", LEAD), f"vacant from 2026-07-01 00:00 UTC until 2026-08-01 00:00 UTC, {skipped}"),
        (("roles", "chief_executive_officer"), f"vacant from 2026-01-01 00:00 UTC on, {skipped}"),
        (
            ("roles", "it_operations_director", 1),
            "never applies, because entries that come before it always do; remove it, or give them an end",
        ),
    ]


USEFUL = {
    "a default": "[{ rotation: p }, { person: cy }]",
    "a default that changes": (
        "[{ rotation: p }, { person: cy, to: 2026-05-01T00:00:00Z }, { person: ben, from: 2026-05-01T00:00:00Z }]"
    ),
    "a customer's default": "[{ person: cy }, { rotation: p, customer: acme }, { person: ben, customer: acme }]",
    "a rotation that applies in two years": "[{ rotation: p, to: 2028-01-01T00:00:00Z }, { rotation: q }]",
    "a rotation that follows a person": (
        "[{ person: cy, from: 2026-01-01T00:00:00Z, to: 2028-01-01T00:00:00Z }, { rotation: p }]"
    ),
    "a rotation below a calendar": "[{ rotation: feed }, { rotation: p }]",
    "a rotation that begins in two years": "[{ rotation: late }, { person: cy }]",
}


@pytest.mark.parametrize("entries", USEFUL.values(), ids=USEFUL)
def test_an_entry_that_may_apply_one_day_is_not_reported(entries: str) -> None:
    directory = load(f"""\
own_roles: [night_desk]
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
    assert [finding for finding in found if finding.path[:2] == ("roles", "night_desk")] == []
