"""One odd event never takes a calendar away: it is left out with a reason, and the others count."""

from datetime import UTC, datetime

import pytest
from support.calendars import calendar, directory_with, person_at
from tocsin.directory import ICalendar, LintFinding, lint_directory

YEAR = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
BEFORE = "DTSTART:20270105T140000Z\nDTEND:20270105T220000Z\nSUMMARY:Sam Ortega"
AFTER = "DTSTART;TZID=America/New_York:20270106T090000\nDURATION:PT8H\nRRULE:FREQ=DAILY\nSUMMARY:Maya Lindqvist"
BROKEN_ZONE = "BEGIN:VTIMEZONE\nTZID:Desk\nBEGIN:STANDARD\nDTSTART:19700101T000000\n{}END:STANDARD\nEND:VTIMEZONE\n"

ODD = {
    "an unknown zone": (
        "DTSTART;TZID=Customized Time Zone:20270105T140000\nDURATION:PT1H",
        "has the unknown time zone `Customized Time Zone`; add its VTIMEZONE, or choose a zone such as Europe/Berlin",
    ),
    "a zone with colons": (
        "DTSTART;TZID=tzone://Microsoft/Custom:20270105T140000\nDURATION:PT1H",
        "has the unknown time zone `tzone://Microsoft/Custom`",
    ),
    "an end in an unknown zone": ("DTSTART:20270105T140000Z\nDTEND;TZID=Nowhere:20270105T150000", "zone `Nowhere`"),
    "an abbreviation": ("DTSTART;TZID=CEST:20270105T140000\nDURATION:PT1H", "has the unknown time zone `CEST`"),
    "a zone of ours that is broken": (
        "DTSTART;TZID=Desk:20270105T140000\nDURATION:PT1H",
        "has the time zone `Desk`, whose VTIMEZONE has no valid TZOFFSETTO; write it like +0100",
    ),
    "no start": ("DTEND:20270105T140000Z", "has no DTSTART; add one"),
    "an empty start": ("DTSTART:\nDURATION:PT1H", "has an invalid DTSTART (``); write it like 20270105T140000Z or"),
    "an invalid start": ("DTSTART:20270230T140000Z\nDURATION:PT1H", "has an invalid DTSTART (`20270230T140000Z`)"),
    "a start in words": ("DTSTART:soon\nDURATION:PT1H", "has an invalid DTSTART (`soon`)"),
    "a start in another notation": ("DTSTART:2027-01-05T14:00:00Z", "has an invalid DTSTART (`2027-01-05T14:00:00Z`)"),
    "two starts": ("DTSTART:20270105T140000Z\nDTSTART:20270106T140000Z\nDURATION:PT1H", "several different DTSTART"),
    "a birthday of 1604": (
        "DTSTART;VALUE=DATE:16041215\nRRULE:FREQ=YEARLY",
        "starts before 1900; choose a later start",
    ),
    "a birthday of the year 1": ("DTSTART:00010101T000000Z\nDURATION:PT1H", "starts before 1900"),
    "the end of time": ("DTSTART:99991231T235959Z\nDURATION:PT1H", "starts after 8998; choose an earlier start"),
    "an end before its start": ("DTSTART:20270105T140000Z\nDTEND:20270105T130000Z", "ends before it starts"),
    "a day that ends before": ("DTSTART;VALUE=DATE:20270105\nDTEND;VALUE=DATE:20270104", "ends before it starts"),
    "an invalid end": ("DTSTART:20270105T140000Z\nDTEND:later", "has an invalid DTEND (`later`)"),
    "no end": ("DTSTART:20270105T140000Z", "has no length; set an end after its start"),
    "an end at its start": ("DTSTART:20270105T140000Z\nDTEND:20270105T140000Z", "has no length"),
    "no duration": ("DTSTART:20270105T140000Z\nDURATION:PT0S", "has no length"),
    "a negative duration": ("DTSTART:20270105T140000Z\nDURATION:-PT1H", "has an invalid DURATION (`-PT1H`); write it"),
    "an invalid duration": ("DTSTART:20270105T140000Z\nDURATION:1h", "has an invalid DURATION (`1h`)"),
    "hourly": ("DTSTART:20270105T140000Z\nDURATION:PT1M\nRRULE:FREQ=HOURLY", "recurs too often; make it recur daily"),
    "secondly": ("DTSTART:20270105T140000Z\nDURATION:PT1M\nRRULE:FREQ=SECONDLY;COUNT=3", "recurs too often"),
    "too often a day": (
        "DTSTART:20270105T140000Z\nDURATION:PT1M\nRRULE:FREQ=DAILY;BYMINUTE=1,2,3;BYHOUR=1,2,3,4,5,6,7,8,9",
        "recurs too often",
    ),
    "no interval": (
        "DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;INTERVAL=0",
        "has an invalid RRULE (`INTERVAL=0`); use numbers from 1 to 999999",
    ),
    "an unknown frequency": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=FOO", "invalid RRULE (`FREQ=FOO`)"),
    "no frequency": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:COUNT=3", "has an invalid RRULE (`FREQ=`)"),
    "an empty rule": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:", "has an invalid RRULE"),
    "a rule without an end": (
        f"DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYHOUR={','.join(['1'] * 2000)}",
        "has an RRULE of 4017 characters; the limit is 2000",
    ),
    "an unknown part": (
        "DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYEASTER=1",
        "has an invalid RRULE (`BYEASTER=1`); correct it",
    ),
    "an invalid weekday": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=XX", "(`BYDAY=XX`)"),
    "month 13": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYMONTH=13", "use numbers from 1 to 12"),
    "an invalid until": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=x", "(`UNTIL=X`)"),
    "an invalid exception": (
        "DTSTART:20270105T140000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEXDATE:never",
        "has an invalid EXDATE (`never`)",
    ),
    "an invalid date": ("DTSTART:20270105T140000Z\nDURATION:PT1H\nRDATE:20270199", "has an invalid RDATE (`20270199`)"),
    "too many dates": (
        f"DTSTART:20270105T140000Z\nDURATION:PT1H\nRDATE:{','.join(['20270107T140000Z'] * 10_001)}",
        "has 10001 single dates; the limit is 10000",
    ),
    "a long series": (
        "DTSTART:20270105T140000Z\nDURATION:P400D\nRRULE:FREQ=DAILY",
        "recurs and lasts longer than a year; make it a single event, or shorten it",
    ),
    "a start without a colon": (
        "DTSTART 20270105T140000Z\nDURATION:PT1H",
        "has the invalid line `DTSTART 20270105T140000Z`; correct it",
    ),
    "a start that has lost its zone": (
        "DTSTART;TZID:20270105T140000\nDURATION:PT1H",
        "has the invalid line `DTSTART;TZID:20270105T140000`; correct it",
    ),
    "an invalid place in its series": (
        "RECURRENCE-ID:then\nDTSTART:20270105T140000Z\nDURATION:PT1H",
        "has an invalid RECURRENCE-ID (`then`)",
    ),
}


@pytest.mark.rule("5.32")
@pytest.mark.parametrize(("event", "reason"), ODD.values(), ids=ODD)
def test_an_event_that_cannot_be_read_is_left_out_and_the_others_count(event: str, reason: str) -> None:
    text = calendar(BEFORE, f"{event}\nSUMMARY:Team lunch", AFTER, head=BROKEN_ZONE.format("TZOFFSETFROM:+0100\n"))
    read = ICalendar(text, "America/New_York")
    assert [(one.summary, reason in one.reason) for one in read.left_out] == [("Team lunch", True)], read.left_out
    directory = directory_with(text)
    at = ("2027-01-05T15:00Z", "2027-01-06T13:59Z", "2027-01-06T14:00Z", "2027-03-15T13:00Z")
    assert [person_at(directory, moment) for moment in at] == ["sam.ortega", None, "maya.lindqvist", "maya.lindqvist"]


def findings(text: str) -> list[LintFinding]:
    return [found for found in lint_directory(directory_with(text), *YEAR) if found.path[0] == "rotations"]


@pytest.mark.rule("5.32")
@pytest.mark.parametrize(
    ("event", "names"),
    [
        ("SUMMARY:Herrera\\, Tom\u00e1s", "Tom\u00e1s Herrera"),
        ("SUMMARY:on call\nATTENDEE:mailto:maya@home.example.com", "Maya Lindqvist"),
        ('SUMMARY:on call\nATTENDEE;CN="Ortega, Sam":urn:uuid:1', "Sam Ortega"),
        ("SUMMARY:x\nX-TOCSIN-PERSON:sam.ortega", "Sam Ortega"),
        ("SUMMARY:Sam Ortega or Maya Lindqvist", "Maya Lindqvist or Sam Ortega"),
        ("SUMMARY Sam Ortega", "Sam Ortega"),
    ],
)
def test_an_event_that_would_put_somebody_on_call_and_cannot_be_read_is_an_error(event: str, names: str) -> None:
    unreadable = f"DTSTART;TZID=Custom:20270105T140000\nDURATION:PT1H\n{event}"
    (found,) = findings(calendar(AFTER, unreadable))
    assert f" at 20270105T140000 Custom would put {names} on call, but cannot be read: it has " in found.message
    assert not found.harmless
    (past,) = findings(calendar(AFTER, unreadable.replace("20270105", "20250105").replace("SUMMARY ", "SUMMARY:")))
    assert past.harmless


def test_other_events_that_cannot_be_read_are_listed_as_harmless() -> None:
    lunch = "DTSTART;TZID=Custom:20240105T140000\nDTEND;TZID=Custom:20240105T150000\nSUMMARY:Team lunch"
    found = findings(calendar(BEFORE, *[lunch] * 7))
    assert [finding.harmless for finding in found] == [True] * 6
    assert found[0].message == (
        "the event `Team lunch` at 20240105T140000 Custom is left out: it has the unknown time zone `Custom`; "
        "add its VTIMEZONE, or choose a zone such as Europe/Berlin"
    )
    assert found[5].message == "2 more events are left out; none would put anybody on call"


GOOD = calendar(BEFORE)
TEXTS = {
    "a byte order mark": ("\ufeff" + GOOD, []),
    "text before it": ("Content-Type: text/calendar\n\n" + GOOD, []),
    "text on its first line": ("\u00ef\u00bb\u00bf" + GOOD, []),
    "text after it": (GOOD + "\n\n", []),
    "two calendars": (calendar("DTSTART:20270109T140000Z\nDURATION:PT1H\nSUMMARY:Maya Lindqvist") + GOOD, []),
    "two calendars in one line": (calendar().strip() + GOOD, []),
    "a byte order mark between two calendars": (calendar() + "\ufeff" + GOOD, []),
    "old line ends": (GOOD.replace("\n", "\r"), []),
    "blank lines": (GOOD.replace("\n", "\r\n\r\n"), []),
    "lower case": (GOOD.replace("BEGIN:VEVENT", "begin:vevent").replace("DTSTART", "dtstart"), []),
    "blanks at the ends of lines": (GOOD.replace("\n", " \n"), []),
    "no end of the calendar": (
        GOOD.replace("END:VCALENDAR\n", ""),
        ["END:VCALENDAR is missing, so events may be missing, too; export the calendar again"],
    ),
    "a broken header": (
        GOOD.replace("VERSION", "REFRESH-INTERVAL:VALUE=DURATION:PT1H\nVERSION"),
        ["the line `REFRESH-INTERVAL:VALUE=DURATION:PT1H` is not valid and is ignored; correct or remove it"],
    ),
    "a header without a colon": (
        GOOD.replace("VERSION", "X-WR-CALNAME Desk\nVERSION"),
        ["the line `X-WR-CALNAME Desk` is not valid and is ignored; correct or remove it"],
    ),
    "an unknown X-WR-TIMEZONE": (
        GOOD.replace("VERSION", "X-WR-TIMEZONE:Here\nVERSION"),
        [
            "X-WR-TIMEZONE is ignored: it has the unknown time zone `Here`; add its VTIMEZONE, or choose a zone such "
            "as Europe/Berlin"
        ],
    ),
    "a broken property": (
        GOOD.replace("SUMMARY", "X-A;B:c\nCREATED:20260101T000000Z\nPRIORITY:high\nSUMMARY"),
        ["the line `PRIORITY:high` of the event `Sam Ortega` is not valid and is ignored; correct it"],
    ),
    "a line without a colon": (
        GOOD.replace("SUMMARY", "and bring cake\nSUMMARY"),
        ["the line `and bring cake` of the event `Sam Ortega` is not valid and is ignored; correct it"],
    ),
    "an end of nothing": (
        GOOD.replace("END:VCALENDAR", "END:VALARM\nEND:VCALENDAR"),
        ["the line `END:VALARM` has no matching BEGIN and is ignored; remove it"],
    ),
    "an alarm": (GOOD.replace("SUMMARY", "BEGIN:VALARM\nSUMMARY:Maya Lindqvist\nDURATION:x\nEND:VALARM\nSUMMARY"), []),
    "an alarm without an end": (GOOD.replace("END:VEVENT", "BEGIN:VALARM\nTRIGGER:x\nEND:VEVENT"), []),
    "a VTIMEZONE without an offset": (
        GOOD.replace("VERSION", BROKEN_ZONE.format("TZOFFSETFROM:+0100\n") + "VERSION"),
        ["the VTIMEZONE `Desk` is left out: it has no valid TZOFFSETTO; write it like +0100"],
    ),
}


@pytest.mark.parametrize(("text", "notes"), TEXTS.values(), ids=TEXTS)
def test_the_events_of_a_damaged_calendar_count(text: str, notes: list[str]) -> None:
    read = ICalendar(text, "America/New_York")
    assert read.left_out == ()
    assert list(read.notes) == notes
    assert person_at(directory_with(text), "2027-01-05T15:00Z") == "sam.ortega"


@pytest.mark.parametrize(
    ("line", "count", "reason"),
    [
        ("END:VEVENT\n", 1, "has no END:VEVENT; add it, or export the calendar again"),
        ("BEGIN:VEVENT\n", 1, "has no BEGIN:VEVENT; add it, or export the calendar again"),
        ("END:VEVENT\nEND:VCALENDAR\n", 1, "has no END:VEVENT; add it, or export the calendar again"),
    ],
)
def test_an_event_without_its_first_or_last_line_is_left_out(line: str, count: int, reason: str) -> None:
    if "VCALENDAR" in line:
        text = calendar(BEFORE, AFTER).replace(line, "")
        at, person = "2027-01-05T15:00Z", "sam.ortega"
    else:
        text = calendar(BEFORE, AFTER).replace(line, "", count)
        at, person = "2027-01-06T15:00Z", "maya.lindqvist"
    (event,) = ICalendar(text, "UTC").left_out
    assert event.reason == reason
    assert person_at(directory_with(text), at) == person


def test_a_change_that_cannot_be_read_leaves_the_occurrence_as_it_was() -> None:
    change = "RECURRENCE-ID;TZID=America/New_York:20270107T090000\nDTSTART;TZID=X:20270107T090000\nSUMMARY:Sam Ortega"
    directory = directory_with(calendar(AFTER, change).replace("UID:1", "UID:0"))
    assert person_at(directory, "2027-01-07T15:00Z") == "maya.lindqvist"


def test_a_change_without_its_series_is_an_event() -> None:
    change = "RECURRENCE-ID:20270107T140000Z\nDTSTART:20270107T150000Z\nDURATION:PT1H\nSUMMARY:Sam Ortega"
    directory = directory_with(calendar(change))
    assert [person_at(directory, f"2027-01-07T{hour}:30Z") for hour in ("14", "15")] == [None, "sam.ortega"]


MISPLACED = {
    "after the event": (
        f"BEGIN:VEVENT\nEND:VEVENT\n{AFTER}\n",
        "has no BEGIN:VEVENT; add it, or export the calendar again",
    ),
    "without both lines": (f"{AFTER}\n", "has no BEGIN:VEVENT; add it, or export the calendar again"),
    "with an alarm": (
        AFTER.replace("SUMMARY", "BEGIN:VALARM\nTRIGGER:-PT5M\nEND:VALARM\nSUMMARY") + "\nEND:VEVENT\n",
        "has no BEGIN:VEVENT; add it, or export the calendar again",
    ),
    "in a misspelled component": (
        f"BEGIN:VEVNT\n{AFTER}\nEND:VEVNT\n",
        "is inside BEGIN:VEVNT; write BEGIN:VEVENT and END:VEVENT, or export the calendar again",
    ),
    "in a misspelled component of a task": (
        f"BEGIN:VTODO\nBEGIN:VEVNT\n{AFTER}\nEND:VEVNT\nEND:VTODO\n",
        "is inside BEGIN:VEVNT; write BEGIN:VEVENT and END:VEVENT, or export the calendar again",
    ),
    "in an alarm": (
        f"BEGIN:VALARM\n{AFTER}\nEND:VALARM\n",
        "is inside BEGIN:VALARM; write BEGIN:VEVENT and END:VEVENT, or export the calendar again",
    ),
}


@pytest.mark.rule("5.32")
@pytest.mark.parametrize(("lines", "reason"), MISPLACED.values(), ids=MISPLACED)
def test_an_event_outside_its_component_is_left_out(lines: str, reason: str) -> None:
    text = calendar(BEFORE).replace("END:VCALENDAR", f"{lines}END:VCALENDAR")
    read = ICalendar(text, "UTC")
    (event,) = read.left_out
    assert event.reason == reason
    assert f"SUMMARY:{event.summary}" in AFTER
    assert read.year(2027) == ICalendar(calendar(BEFORE), "UTC").year(2027)


@pytest.mark.parametrize("kind", ["VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY", "X-NOTE"])
def test_a_component_that_is_no_event_is_ignored(kind: str) -> None:
    text = calendar(BEFORE).replace("END:VCALENDAR", f"BEGIN:{kind}\n{AFTER}\nEND:{kind}\nEND:VCALENDAR")
    read = ICalendar(text, "UTC")
    assert (read.left_out, read.notes) == ((), ())
