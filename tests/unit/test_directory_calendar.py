"""An iCalendar as the source of a rotation: whom its events name, in which zone, and what is refused."""

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


def reading(text: str) -> Directory:
    directory = load_directory(DIRECTORY, "directory.yaml")
    return directory.with_calendars({"primary": ICalendar(text, "Europe/Rome")})


def who(directory: Directory, at: str) -> str | None:
    found = directory.holder(ROLE, None, datetime.fromisoformat(at))
    return found.person if found else None


def test_a_weekly_event_turns_at_its_local_hour_whatever_the_clocks_do() -> None:
    directory = reading(
        calendar(
            """\
DTSTART;TZID=America/New_York:20260302T090000
DTEND;TZID=America/New_York:20260309T090000
RRULE:FREQ=WEEKLY;INTERVAL=2
EXDATE;TZID=America/New_York:20260330T090000
SUMMARY:first line
ATTENDEE;CN=Ana:mailto:Ana@Home.example.com""",
            """\
DTSTART;TZID=America/New_York:20260309T090000
DTEND;TZID=America/New_York:20260316T090000
RRULE:FREQ=WEEKLY;INTERVAL=2
SUMMARY:Ben Okafor""",
        )
    )
    assert who(directory, "2026-03-02T13:59:59Z") is None
    assert who(directory, "2026-03-02T14:00:00Z") == "ana"
    assert who(directory, "2026-03-09T12:59:59Z") == "ana"  # the clocks changed on the 8th
    assert who(directory, "2026-03-09T13:00:00Z") == "ben"
    assert who(directory, "2026-03-31T12:00:00Z") is None  # taken out
    assert who(directory, "2026-11-02T13:59:59Z") == "ana"  # and back on the 1st
    assert who(directory, "2026-11-02T14:00:00Z") == "ben"
    holder = directory.holder(ROLE, None, datetime(2026, 3, 20, tzinfo=UTC))
    assert holder is not None
    assert holder.rule == "rotation primary, event of 2026-03-16 14:00 CET"


@pytest.mark.parametrize(
    ("line", "person"),
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
def test_whom_an_event_names(line: str, person: str | None) -> None:
    directory = reading(calendar(f"DTSTART:20260608T090000Z\nDTEND:20260608T170000Z\n{line}"))
    assert who(directory, "2026-06-08T12:00Z") == person


@pytest.mark.parametrize(
    ("times", "head", "begins"),
    [
        ("DTSTART:20260608T090000\nDTEND:20260608T170000", "", "2026-06-08T07:00Z"),
        ("DTSTART:20260608T090000\nDTEND:20260608T170000", "X-WR-TIMEZONE:America/New_York\n", "2026-06-08T13:00Z"),
        ("DTSTART;VALUE=DATE:20260608", "", "2026-06-07T22:00Z"),
        ("DTSTART;TZID=Eastern Standard Time:20260608T090000\nDURATION:PT8H", "", "2026-06-08T13:00Z"),
        (
            "DTSTART;TZID=Our Office:20260608T090000\nDURATION:PT8H",
            "BEGIN:VTIMEZONE\nTZID:Our Office\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0530\n"
            "TZOFFSETTO:+0530\nEND:STANDARD\nEND:VTIMEZONE\n",
            "2026-06-08T03:30Z",
        ),
    ],
)
def test_in_which_zone_an_event_is(times: str, head: str, begins: str) -> None:
    directory = reading(calendar(f"{times}\nSUMMARY:ben", head=head))
    assert directory.edges(ROLE, None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))[0] == (
        datetime.fromisoformat(begins)
    )
    assert who(directory, begins) == "ben"


def test_an_event_that_was_copied_with_its_uid_counts_and_an_older_version_does_not() -> None:
    first = "UID:x\nDTSTART:20260601T090000Z\nDTEND:20260602T090000Z\nSUMMARY:ana"
    copied = "UID:x\nDTSTART:20260608T090000Z\nDTEND:20260609T090000Z\nSUMMARY:ben"
    text = calendar(first, copied).replace("UID:0\n", "").replace("UID:1\n", "")
    assert [who(reading(text), f"2026-06-{day}T12:00Z") for day in ("01", "08")] == ["ana", "ben"]
    newer = text.replace("SUMMARY:ben", "SUMMARY:ben\nSEQUENCE:1")
    assert [who(reading(newer), f"2026-06-{day}T12:00Z") for day in ("01", "08")] == [None, "ben"]


@pytest.mark.parametrize(
    ("length", "ends"),
    [("PT12H", "2026-03-08T13:00Z"), ("P1D", "2026-03-09T00:00Z"), ("P1DT12H", "2026-03-09T12:00Z")],
)
def test_hours_of_a_duration_are_exact_and_days_are_the_walls(length: str, ends: str) -> None:
    directory = reading(calendar(f"DTSTART;TZID=America/New_York:20260307T200000\nDURATION:{length}\nSUMMARY:ben"))
    at = datetime.fromisoformat(ends)
    assert who(directory, (at - timedelta(seconds=1)).isoformat()) == "ben"
    assert who(directory, at.isoformat()) is None


def test_where_events_overlap_the_later_one_counts_and_the_check_says_so() -> None:
    directory = reading(
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
    assert [who(directory, moment) for moment in at] == ["ana", "ben", "ana", None, "ben"]
    found = lint_directory(directory, datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
    counts = "the one that begins later counts, of two that begin together the shorter"
    told = [(finding.message, finding.harmless) for finding in found if finding.place[0] == "rotations"]
    assert told == [
        (
            "the event `Zoe` (no attendee) of 2026-06-10 09:00 UTC names nobody of people; add the person, or the "
            "address to their fallbacks",
            False,
        ),
        (f"the event `ben` of 2026-06-03 09:00 UTC overlaps with `ana` of 2026-06-01 09:00 UTC; {counts}", True),
        (f"the event `ana` of 2026-06-15 09:00 UTC overlaps with `ben` of 2026-06-15 09:00 UTC; {counts}", True),
        (
            "the events `ana` and `ben` of 2026-06-24 09:00 UTC begin and end together; let the one that counts begin "
            "later, or remove the other",
            False,
        ),
    ]


def test_an_occurrence_that_was_moved_or_called_off_is_not_where_it_was() -> None:
    series = "DTSTART:20260601T090000Z\nDTEND:20260601T170000Z\nRRULE:FREQ=DAILY\nSUMMARY:ana"
    moved = "RECURRENCE-ID:20260603T090000Z\nDTSTART:20260603T180000Z\nDTEND:20260603T190000Z\nSUMMARY:ben"
    off = "RECURRENCE-ID:20260604T090000Z\nDTSTART:20260604T090000Z\nDTEND:20260604T170000Z\nSTATUS:CANCELLED"
    directory = reading(calendar(series, moved, off).replace("UID:1", "UID:0").replace("UID:2", "UID:0"))
    at = ["2026-06-02T12:00Z", "2026-06-03T12:00Z", "2026-06-03T18:30Z", "2026-06-04T12:00Z", "2026-06-05T12:00Z"]
    assert [who(directory, moment) for moment in at] == ["ana", None, "ben", None, "ana"]


def test_without_its_calendar_a_rotation_answers_nothing() -> None:
    assert who(load_directory(DIRECTORY, "directory.yaml"), "2026-06-08T12:00Z") is None


def test_an_instant_may_be_written_with_any_offset() -> None:
    """Its year by that offset need not be the one of the event."""
    event = "DTSTART:{}T000000Z\nDTEND:{}T060000Z\nSUMMARY:{}"
    directory = reading(
        calendar(event.format("20270101", "20270101", "ana"), event.format("20271231", "20271231", "ben"))
    )
    assert who(directory, "2026-12-31T23:30-05:00") == who(directory, "2027-01-01T04:30Z") == "ana"
    assert who(directory, "2028-01-01T05:00+13:00") is None
    assert who(directory, "2027-12-31T13:00+13:00") == who(directory, "2027-12-31T00:00Z") == "ben"
    year = [datetime.fromisoformat(at) for at in ("2026-12-31T20:00-08:00", "2028-01-01T13:00+14:00")]
    assert [shift.holder and shift.holder.person for shift in compute_shifts(directory, ROLE, None, *year)] == [
        "ana",
        None,
        "ben",
        None,
    ]


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_at_the_ends_of_time_nobody_is_on_call(at: datetime) -> None:
    directory = reading(calendar("DTSTART:20260608T090000Z\nDTEND:20260608T170000Z\nSUMMARY:ana\nRRULE:FREQ=DAILY"))
    assert directory.holder(ROLE, None, at) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is no iCalendar"),
        ("<html>Sign in</html>", "is no iCalendar"),
        (calendar("SUMMARY:ana"), "the event `ana` has no DTSTART; state when it begins"),
        (calendar("DTSTART:soon\nSUMMARY:ana"), "DTSTART"),
        (calendar("DTSTART:20260608T090000Z\nRRULE:FREQ=FOO"), "Expected frequency, got: FOO"),
        (
            calendar("DTSTART:20260608T090000Z\nRRULE:FREQ=SECONDLY\nSUMMARY:x"),
            "the event `x` recurs too often; let it",
        ),
        (calendar("DTSTART:20260608T090000Z\nRRULE:FREQ=DAILY;BYMINUTE=1,2,3;BYHOUR=1,2,3,4,5,6,7,8,9"), "too often"),
        (
            calendar("DTSTART;TZID=Nowhere/Land:20260608T090000\nDURATION:PT1H\nSUMMARY:x"),
            "the event `x` is in the zone `Nowhere/Land`, which is not known; add its VTIMEZONE",
        ),
        ("BEGIN:VCALENDAR\n" + "X" * 5_000_001, "keep it below"),
        (calendar("DTSTART:20260608T090000Z\nRRULE:FREQ=DAILY;INTERVAL=0"), "state an INTERVAL of 1 or more"),
        (calendar("DTSTART:00010101T000000Z\nRRULE:FREQ=DAILY"), "begins before 1900; let it begin later"),
    ],
    ids=[
        "empty",
        "a page",
        "no start",
        "a wrong start",
        "a wrong rule",
        "secondly",
        "often",
        "zone",
        "large",
        "never ending",
        "ancient",
    ],
)
def test_what_is_no_calendar_is_refused_with_a_reason(text: str, error: str) -> None:
    with pytest.raises(ICalendarError) as refusal:
        ICalendar(text, "Europe/Rome")
    assert error in str(refusal.value)


def test_a_year_of_too_many_events_is_refused_before_all_of_them_are_expanded() -> None:
    series = "DTSTART:20250101T{:02}0000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMINUTE=0,10,20,30,40,50\nSUMMARY:ana"
    read = ICalendar(calendar(*(series.format(hour) for hour in range(5))), "UTC")
    with pytest.raises(ICalendarError, match=r"has more than 10000 events in 2026; remove some, or end their series"):
        read.year(2026)
    assert read.year(2024) == ()
