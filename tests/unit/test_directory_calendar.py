"""Rotations by an iCalendar: whom events name, in which zone they are, which one decides, and invalid calendars."""

from datetime import UTC, datetime, timedelta

import pytest
from tocsin.directory import Directory, ICalendar, ICalendarError, compute_shifts, lint_directory, load_directory

ROLE = "service_desk_team_lead"
DIRECTORY = """\
people:
  ana: { name: Ana Silva, email: ana@example.com, fallbacks: [ana@home.example.com] }
  ben: { name: Ben Okafor, email: ben@example.com }
  anabel: { name: Ana, email: anabel@example.com }
rotations:
  primary:
    zone: Europe/Rome
    calendar: { file: on-call.ics }
roles:
  service_desk_team_lead: [{ rotation: primary }]
"""


def calendar(*events: str, head: str = "") -> str:
    wrapped = "".join(f"BEGIN:VEVENT\nUID:{n}\n{event.strip()}\nEND:VEVENT\n" for n, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{head}{wrapped}END:VCALENDAR\n"


def with_calendar(text: str) -> Directory:
    directory = load_directory(DIRECTORY, "directory.yaml")
    return directory.with_calendars({"primary": ICalendar(text, "Europe/Rome")})


def person(directory: Directory, at: str) -> str | None:
    found = directory.holder(ROLE, None, datetime.fromisoformat(at))
    return found.person if found else None


def test_a_weekly_event_starts_at_its_local_hour_across_clock_changes() -> None:
    directory = with_calendar(
        calendar(
            """\
DTSTART;TZID=America/New_York:20260302T090000
DTEND;TZID=America/New_York:20260309T090000
RRULE:FREQ=WEEKLY;INTERVAL=2
EXDATE;TZID=America/New_York:20260330T090000
SUMMARY:on call
ATTENDEE;CN=Ana:mailto:Ana@Home.example.com""",
            """\
DTSTART;TZID=America/New_York:20260309T090000
DTEND;TZID=America/New_York:20260316T090000
RRULE:FREQ=WEEKLY;INTERVAL=2
SUMMARY:Ben Okafor""",
        )
    )
    assert person(directory, "2026-03-02T13:59:59Z") is None
    assert person(directory, "2026-03-02T14:00:00Z") == "ana"
    assert person(directory, "2026-03-09T12:59:59Z") == "ana"  # the clocks changed on the 8th
    assert person(directory, "2026-03-09T13:00:00Z") == "ben"
    assert person(directory, "2026-03-31T12:00:00Z") is None  # excluded
    assert person(directory, "2026-11-02T13:59:59Z") == "ana"  # and changed back on the 1st
    assert person(directory, "2026-11-02T14:00:00Z") == "ben"
    holder = directory.holder(ROLE, None, datetime(2026, 3, 20, tzinfo=UTC))
    assert holder is not None
    assert holder.rule == "rotation primary, event of 2026-03-16 14:00 CET"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ATTENDEE:mailto:stranger@example.com\nATTENDEE:MAILTO:ben@example.com\nSUMMARY:ana", "ben"),
        ("SUMMARY:ana", "ana"),
        ("SUMMARY:Ana", "ana"),
        ("SUMMARY:On Call - Ben Okafor - Primary", "ben"),
        ("SUMMARY:BEN@example.com on duty", "ben"),
        ("SUMMARY:Benjamin", None),
        ("SUMMARY:ana and ben", None),
        ("X-TOCSIN-PERSON:ben\nSUMMARY:ana", "ben"),
        ("DESCRIPTION:ben", None),
        ("SUMMARY:ben\nSTATUS:CANCELLED", None),
        ("SUMMARY:ben\nSTATUS:cancelled", None),
        ("ATTENDEE;PARTSTAT=DECLINED:mailto:ana@home.example.com\nATTENDEE:mailto:ben@example.com\nSUMMARY:x", "ben"),
    ],
)
def test_the_person_that_an_event_names(line: str, named: str | None) -> None:
    directory = with_calendar(calendar(f"DTSTART:20260608T090000Z\nDTEND:20260608T170000Z\n{line}"))
    assert person(directory, "2026-06-08T12:00Z") == named


def test_times_without_a_zone_are_in_that_of_the_calendar_then_of_the_rotation() -> None:
    event = "DTSTART:20260608T090000\nDTEND:20260608T170000\nSUMMARY:ben"
    for head, begins in (("", 7), ("X-WR-TIMEZONE:America/New_York\n", 13)):
        directory = with_calendar(calendar(event, head=head))
        year = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        assert directory.changes(ROLE, None, *year)[0] == datetime(2026, 6, 8, begins, tzinfo=UTC)


def test_a_copy_with_the_same_uid_counts_and_an_older_version_does_not() -> None:
    first = "UID:x\nDTSTART:20260601T090000Z\nDTEND:20260602T090000Z\nSUMMARY:ana"
    copied = "UID:x\nDTSTART:20260608T090000Z\nDTEND:20260609T090000Z\nSUMMARY:ben"
    text = calendar(first, copied).replace("UID:0\n", "").replace("UID:1\n", "")
    assert [person(with_calendar(text), f"2026-06-{day}T12:00Z") for day in ("01", "08")] == ["ana", "ben"]
    newer = text.replace("SUMMARY:ben", "SUMMARY:ben\nSEQUENCE:1")
    assert [person(with_calendar(newer), f"2026-06-{day}T12:00Z") for day in ("01", "08")] == [None, "ben"]


def test_of_overlapping_events_the_later_decides_and_lint_reports_them() -> None:
    directory = with_calendar(
        calendar(
            "DTSTART:20260601T090000Z\nDTEND:20260608T090000Z\nSUMMARY:ana",
            "DTSTART:20260603T090000Z\nDTEND:20260604T090000Z\nSUMMARY:ben",
            "DTSTART:20260610T090000Z\nDTEND:20260611T090000Z\nSUMMARY:Zoe",
            "DTSTART:20260615T090000Z\nDTEND:20260622T090000Z\nSUMMARY:ana",
            "DTSTART:20260615T090000Z\nDTEND:20260616T090000Z\nSUMMARY:ben",
            "DTSTART:20260624T090000Z\nDTEND:20260625T090000Z\nSUMMARY:ben",
            "DTSTART:20260624T090000Z\nDTEND:20260625T090000Z\nSUMMARY:ana",
        )
    )
    at = ["2026-06-03T08:59Z", "2026-06-03T09:00Z", "2026-06-04T09:00Z", "2026-06-10T10:00Z", "2026-06-15T10:00Z"]
    assert [person(directory, moment) for moment in at] == ["ana", "ben", "ana", None, "ben"]
    found = lint_directory(directory, datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
    decides = "the one that starts later applies, or the shorter if they start together"
    assert [(finding.message, finding.harmless) for finding in found if finding.path[0] == "rotations"] == [
        (
            "the event `Zoe` (no attendee) at 2026-06-10 09:00 UTC names no person of the directory; add the person, "
            "or add the address to their fallbacks",
            False,
        ),
        (f"the event `ben` at 2026-06-03 09:00 UTC overlaps with `ana` at 2026-06-01 09:00 UTC; {decides}", True),
        (f"the event `ana` at 2026-06-15 09:00 UTC overlaps with `ben` at 2026-06-15 09:00 UTC; {decides}", True),
        (
            "the events `ana` and `ben` at 2026-06-24 09:00 UTC have the same start and end; let the one that applies "
            "start later, or remove the other",
            False,
        ),
    ]


def test_an_occurrence_that_was_moved_or_cancelled_leaves_its_place_empty() -> None:
    series = "DTSTART:20260601T090000Z\nDTEND:20260601T170000Z\nRRULE:FREQ=DAILY\nSUMMARY:ana"
    moved = "RECURRENCE-ID:20260603T090000Z\nDTSTART:20260603T180000Z\nDTEND:20260603T190000Z\nSUMMARY:ben"
    off = "RECURRENCE-ID:20260604T090000Z\nDTSTART:20260604T090000Z\nDTEND:20260604T170000Z\nSTATUS:CANCELLED"
    directory = with_calendar(calendar(series, moved, off).replace("UID:1", "UID:0").replace("UID:2", "UID:0"))
    at = ["2026-06-02T12:00Z", "2026-06-03T12:00Z", "2026-06-03T18:30Z", "2026-06-04T12:00Z", "2026-06-05T12:00Z"]
    assert [person(directory, moment) for moment in at] == ["ana", None, "ben", None, "ana"]


def test_a_rotation_without_its_calendar_never_applies() -> None:
    assert person(load_directory(DIRECTORY, "directory.yaml"), "2026-06-08T12:00Z") is None


def test_instants_may_have_any_offset() -> None:
    """In its own offset, an instant may be in another year than the event."""
    event = "DTSTART:{}T000000Z\nDTEND:{}T060000Z\nSUMMARY:{}"
    directory = with_calendar(
        calendar(event.format("20270101", "20270101", "ana"), event.format("20271231", "20271231", "ben"))
    )
    assert person(directory, "2026-12-31T23:30-05:00") == person(directory, "2027-01-01T04:30Z") == "ana"
    assert person(directory, "2028-01-01T05:00+13:00") is None
    assert person(directory, "2027-12-31T13:00+13:00") == person(directory, "2027-12-31T00:00Z") == "ben"
    year = [datetime.fromisoformat(at) for at in ("2026-12-31T20:00-08:00", "2028-01-01T13:00+14:00")]
    assert [shift.holder and shift.holder.person for shift in compute_shifts(directory, ROLE, None, *year)] == [
        "ana",
        None,
        "ben",
        None,
    ]


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_a_calendar_has_no_holder_at_the_limits_of_datetime(at: datetime) -> None:
    directory = with_calendar(
        calendar("DTSTART:20260608T090000Z\nDTEND:20260608T170000Z\nSUMMARY:ana\nRRULE:FREQ=DAILY")
    )
    assert directory.holder(ROLE, None, at) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no line BEGIN:VCALENDAR, so it is not an iCalendar; check its address"),
        ("<html>Sign in</html>", "has no line BEGIN:VCALENDAR"),
        ("BEGIN:VEVENT\nSUMMARY:ana\nEND:VEVENT\n", "has no line BEGIN:VCALENDAR"),
        ("BEGIN:VCALENDAR\n" + "X" * 5_000_001, "the limit is 5000000"),
    ],
    ids=["empty", "a web page", "an event only", "too large"],
)
def test_a_text_that_is_not_a_calendar_is_rejected_with_a_reason(text: str, error: str) -> None:
    with pytest.raises(ICalendarError) as refusal:
        ICalendar(text, "Europe/Rome")
    assert error in str(refusal.value)


def test_of_too_many_recurring_events_the_most_frequent_are_left_out() -> None:
    often = "DTSTART:20250101T{:02}0000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMINUTE=0,10,20,30,40,50\nSUMMARY:ana"
    rarely = "DTSTART:20250101T000000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY\nSUMMARY:ben"
    read = ICalendar(calendar(*(often.format(number % 24) for number in range(60)), rarely), "UTC")
    assert {(event.summary, event.reason) for event in read.left_out} == {
        ("ana", "recurs, but the calendar has too many recurring events; use a calendar for on-call only")
    }
    assert 0 < len(read.left_out) < 60
    assert {"ana", "ben"} == {event.summary for event in read.year(2026)}


def test_series_of_other_years_do_not_count_as_too_many() -> None:
    series = "DTSTART:{0}0101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL={0}1231\nSUMMARY:ana"
    read = ICalendar(calendar(*(series.format(year) for year in range(1990, 2090))), "UTC")
    assert read.left_out == ()
    far = "DTSTART:21500101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nSUMMARY:ana"
    assert len(ICalendar(calendar(far), "UTC").year(2150)) == 365


def test_many_events_at_once_are_decided_by_the_latest() -> None:
    """In time that grows with the number of events, not with that of their overlaps."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    events = [
        f"DTSTART:{start + timedelta(minutes=number):%Y%m%dT%H%M%SZ}\nDTEND:20261231T000000Z\nSUMMARY:{name}"
        for number, name in enumerate(("ana", "ben") * 500)
    ]
    directory = with_calendar(calendar(*events))
    assert [person(directory, f"2026-01-01T00:{minute}:30Z") for minute in ("10", "11")] == ["ana", "ben"]
    assert person(directory, "2026-12-30T00:00Z") == "ben"
