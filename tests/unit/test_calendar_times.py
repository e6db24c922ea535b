"""When events take place: their lengths, series and exceptions."""

import pytest
from support.calendars import calendar, directory_with, person_at, shifts_of

NEW_YORK = "DTSTART;TZID=America/New_York:"
SERIES = {
    "24 hours are exact": (f"{NEW_YORK}20270313T180000\nDURATION:PT24H", ["2027-03-13 23:00 - 03-14 23:00"]),
    "a day is local": (f"{NEW_YORK}20270313T180000\nDURATION:P1D", ["2027-03-13 23:00 - 03-14 22:00"]),
    "a day, then exact hours": (f"{NEW_YORK}20270312T180000\nDURATION:P1DT12H", ["2027-03-12 23:00 - 03-14 11:00"]),
    "a week is local": (f"{NEW_YORK}20271101T180000\nDURATION:P1W", ["2027-11-01 22:00 - 11-08 23:00"]),
    "168 hours are exact": (f"{NEW_YORK}20271101T180000\nDURATION:PT168H", ["2027-11-01 22:00 - 11-08 22:00"]),
    "an end is local": (
        f"{NEW_YORK}20270313T180000\nDTEND;TZID=America/New_York:20270314T180000",
        ["2027-03-13 23:00 - 03-14 22:00"],
    ),
    "24 hours in a series": (
        f"{NEW_YORK}20270312T180000\nDURATION:PT24H\nRRULE:FREQ=DAILY;INTERVAL=2;COUNT=2",
        ["2027-03-12 23:00 - 03-13 23:00", "2027-03-14 22:00 - 03-15 22:00"],
    ),
    "12 hours of a series over the change": (
        f"{NEW_YORK}20271105T180000\nDURATION:PT24H\nRRULE:FREQ=DAILY;INTERVAL=1;COUNT=3",
        ["2027-11-05 22:00 - 11-06 22:00", "2027-11-06 22:00 - 11-07 22:00", "2027-11-07 23:00 - 11-08 23:00"],
    ),
    "an end in a series is local": (
        f"{NEW_YORK}20270306T180000\nDTEND;TZID=America/New_York:20270307T180000\nRRULE:FREQ=WEEKLY;COUNT=2",
        ["2027-03-06 23:00 - 03-07 23:00", "2027-03-13 23:00 - 03-14 22:00"],
    ),
    "an end in UTC": (f"{NEW_YORK}20271106T180000\nDTEND:20271107T063000Z", ["2027-11-06 22:00 - 11-07 06:30"]),
    "an end in another zone": (
        f"{NEW_YORK}20270105T090000\nDTEND;TZID=Europe/Berlin:20270105T230000",
        ["2027-01-05 14:00 - 22:00"],
    ),
    "an end that is a day": (
        f"{NEW_YORK}20270105T090000\nDTEND;VALUE=DATE:20270106",
        ["2027-01-05 14:00 - 01-06 05:00"],
    ),
    "UNTIL is a day": (
        "DTSTART;TZID=Europe/Berlin:20270104T233000\nDURATION:PT20M\nRRULE:FREQ=DAILY;UNTIL=20270106",
        ["2027-01-04 22:30 - 22:50", "2027-01-05 22:30 - 22:50", "2027-01-06 22:30 - 22:50"],
    ),
    "UNTIL in UTC": (
        f"{NEW_YORK}20270104T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20270106T010000Z",
        ["2027-01-05 01:00 - 02:00", "2027-01-06 01:00 - 02:00"],
    ),
    "UNTIL without a zone": (
        f"{NEW_YORK}20270104T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20270105T200000",
        ["2027-01-05 01:00 - 02:00", "2027-01-06 01:00 - 02:00"],
    ),
    "UNTIL in UTC of floating times": (
        "DTSTART:20270104T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20270106T010000Z",
        ["2027-01-05 01:00 - 02:00", "2027-01-06 01:00 - 02:00"],
    ),
    "UNTIL in UTC of days": (
        "DTSTART;VALUE=DATE:20270104\nRRULE:FREQ=DAILY;INTERVAL=2;UNTIL=20270106T050000Z",
        ["2027-01-04 05:00 - 01-05 05:00", "2027-01-06 05:00 - 01-07 05:00"],
    ),
    "UNTIL before the start": ("DTSTART:20270104T200000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20270101", []),
    "a day ends on its day": (
        "DTSTART;VALUE=DATE:20270106\nDTEND;VALUE=DATE:20270106\nRRULE:FREQ=WEEKLY;COUNT=2",
        ["2027-01-06 05:00 - 01-07 05:00", "2027-01-13 05:00 - 01-14 05:00"],
    ),
    "a day without an end": ("DTSTART;VALUE=DATE:20270106", ["2027-01-06 05:00 - 01-07 05:00"]),
    "days": ("DTSTART;VALUE=DATE:20270313\nDTEND;VALUE=DATE:20270315", ["2027-03-13 05:00 - 03-15 04:00"]),
    "hours of a day": ("DTSTART;VALUE=DATE:20270106\nDURATION:PT36H", ["2027-01-06 05:00 - 01-07 17:00"]),
    "a day that says DATE and has a time": (
        "DTSTART;VALUE=DATE:20270106T000000\nDTEND;VALUE=DATE:20270107T000000",
        ["2027-01-06 05:00 - 01-07 05:00"],
    ),
    "a day that ends at a time": ("DTSTART;VALUE=DATE:20270106\nDTEND:20270106T120000", ["2027-01-06 05:00 - 17:00"]),
    "a floating time": ("DTSTART:20270105T090000\nDTEND:20270105T170000", ["2027-01-05 14:00 - 22:00"]),
    "a zone beside Z": ("DTSTART;TZID=Europe/Berlin:20270105T090000Z\nDURATION:PT1H", ["2027-01-05 09:00 - 10:00"]),
    "an exception that is a day": (
        f"{NEW_YORK}20270104T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20270105",
        ["2027-01-05 01:00 - 02:00", "2027-01-07 01:00 - 02:00"],
    ),
    "an exception in UTC": (
        f"{NEW_YORK}20270104T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20270106T010000Z,20270107T010000Z",
        ["2027-01-05 01:00 - 02:00"],
    ),
    "an exception of days that is a time": (
        "DTSTART;VALUE=DATE:20270104\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20270105T000000,20270106T050000Z",
        ["2027-01-04 05:00 - 01-05 05:00"],
    ),
    "an empty exception": (f"{NEW_YORK}20270104T200000\nDURATION:PT1H\nEXDATE:", ["2027-01-05 01:00 - 02:00"]),
    "single dates and periods": (
        f"{NEW_YORK}20270104T200000\nDURATION:PT1H\nRDATE:20270110T010000Z\n"
        "RDATE;VALUE=PERIOD:20270112T010000Z/PT2H,20270113T010000Z/20270113T040000Z",
        [
            "2027-01-05 01:00 - 02:00",
            "2027-01-10 01:00 - 02:00",
            "2027-01-12 01:00 - 03:00",
            "2027-01-13 01:00 - 04:00",
        ],
    ),
    "a rule that excludes": (
        "DTSTART:20270104T010000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3\nEXRULE:FREQ=DAILY;INTERVAL=2",
        ["2027-01-05 01:00 - 02:00"],
    ),
    "a rule that never comes": (
        "DTSTART:20270104T010000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        ["2027-01-04 01:00 - 02:00"],
    ),
    "an event without an end of time": (
        "DTSTART:20270104T010000Z\nDTEND:99991231T235959Z",
        ["2027-01-04 01:00 - 01-01 00:00"],
    ),
}


@pytest.mark.rule("5.33")
@pytest.mark.parametrize(("event", "shifts"), SERIES.values(), ids=SERIES)
def test_when_an_event_takes_place(event: str, shifts: list[str]) -> None:
    assert shifts_of(directory_with(calendar(f"{event}\nSUMMARY:Sam Ortega"))) == shifts


def test_a_change_may_apply_to_all_later_occurrences() -> None:
    series = "DTSTART:20270104T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=5\nSUMMARY:Sam Ortega"
    later = (
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20270106T090000Z\nDTSTART:20270106T120000Z\nDURATION:PT2H\n"
        "SUMMARY:Maya Lindqvist"
    )
    text = calendar(series, later).replace("UID:1", "UID:0")
    directory = directory_with(text)
    assert shifts_of(directory) == [
        *(f"2027-01-0{day} 09:00 - 10:00" for day in (4, 5)),
        *(f"2027-01-0{day} 12:00 - 14:00" for day in (6, 7, 8)),
    ]
    assert person_at(directory, "2027-01-08T13:00Z") == "maya.lindqvist"
    off = text.replace("SUMMARY:Maya", "STATUS:CANCELLED\nSUMMARY:Maya")
    assert shifts_of(directory_with(off)) == [f"2027-01-0{day} 09:00 - 10:00" for day in (4, 5)]


def test_a_change_of_an_occurrence_that_was_deleted_since_does_not_count() -> None:
    series = f"{NEW_YORK}20270104T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20270105T140000Z"
    change = "RECURRENCE-ID:20270105T140000Z\nDTSTART:20270105T180000Z\nDURATION:PT1H"
    text = calendar(*(f"{one}\nSUMMARY:Sam Ortega" for one in (series, change))).replace("UID:1", "UID:0")
    assert shifts_of(directory_with(text)) == ["2027-01-04 14:00 - 15:00"]


@pytest.mark.parametrize(
    "recurrence_id", ["20270105T140000Z", ";TZID=Europe/Berlin:20270105T150000", ";VALUE=DATE:20270105"]
)
def test_a_change_names_its_occurrence_in_any_way(recurrence_id: str) -> None:
    series = f"{NEW_YORK}20270104T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nSUMMARY:Sam Ortega"
    named = recurrence_id if recurrence_id.startswith(";") else f":{recurrence_id}"
    change = f"RECURRENCE-ID{named}\nSTATUS:CANCELLED"
    text = calendar(series, change).replace("UID:1", "UID:0")
    assert shifts_of(directory_with(text)) == ["2027-01-04 14:00 - 15:00"]
