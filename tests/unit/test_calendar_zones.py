"""What the time zones of a calendar mean, as the world names and describes them."""

from datetime import UTC, datetime, timedelta

import pytest
from support.calendars import calendar, directory_with, shifts_of


def vtimezone(name: str, *observances: str) -> str:
    """A VTIMEZONE of observances such as `19700329T020000 +0100 +0200 FREQ=YEARLY;...`."""
    lines = ""
    for observance in observances:
        start, before, after, *rule = observance.split()
        lines += f"BEGIN:STANDARD\nDTSTART:{start}\nTZOFFSETFROM:{before}\nTZOFFSETTO:{after}\n"
        lines += "".join(f"RRULE:{one}\n" for one in rule) + "END:STANDARD\n"
    return f"BEGIN:VTIMEZONE\nTZID:{name}\n{lines}END:VTIMEZONE\n"


SUMMER = "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU"
WINTER = "FREQ=YEARLY;BYMONTH=11;BYDAY=1SU"
US_EAST = (f"16010101T020000 -0500 -0400 {SUMMER}", f"16010101T020000 -0400 -0500 {WINTER}")
EUROPE = (
    "19810329T020000 +0100 +0200 FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
    "19961027T030000 +0200 +0100 FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
)
NAMES = {
    "Europe/Berlin": 7,
    "europe/berlin": 7,
    "/Europe/Berlin": 7,
    '"Europe/Berlin"': 7,
    "W. Europe Standard Time": 7,
    "/freeassociation.sourceforge.net/Tzfile/Europe/Berlin": 7,
    "/freeassociation.sourceforge.net/Europe/Berlin": 7,
    "/mozilla.org/20050126_1/Europe/Berlin": 7,
    "/softwarestudio.org/Olson_20011030_5/America/Argentina/Buenos_Aires": 12,
    "posix/Europe/Berlin": 7,
    "America/New York": 13,
    "Eastern Standard Time": 13,
    "Eastern Time (US & Canada)": 13,
    "(UTC-05:00) Eastern Time (US & Canada)": 13,
    "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna": 7,
    '"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"': 7,
    "(GMT+01.00) Sarajevo/Warsaw/Zagreb": None,
    "(UTC+05:30) Chennai, Kolkata, Mumbai, New Delhi": 3.5,
    "(UTC) Coordinated Universal Time": 9,
    "tzone://Microsoft/Utc": 9,
    '"tzone://Microsoft/Utc"': 9,
    "tzone://Microsoft/Custom": None,
    "UTC": 9,
    "Etc/GMT+1": 10,
    "GMT+0100": 8,
    "GMT+1": 8,
    "UTC-03:30": 12.5,
    "(UTC+01:00)": 8,
    "+0100": 8,
    "GMT+9900": None,
    "Customized Time Zone": None,
    "": None,
}


@pytest.mark.parametrize(("name", "hour"), NAMES.items(), ids=[name or "empty" for name in NAMES])
def test_the_names_of_zones(name: str, hour: float | None) -> None:
    """09:00 on a summer day, or unknown. With a VTIMEZONE of its own, any name is known."""
    event = f"DTSTART;TZID={name}:20270723T090000\nDURATION:PT1H\nSUMMARY:Sam Ortega"
    start = None if hour is None else datetime(2027, 7, 23, tzinfo=UTC) + timedelta(hours=hour)
    expected = [] if start is None else [f"{start:%Y-%m-%d %H:%M} - {start + timedelta(hours=1):%H:%M}"]
    assert shifts_of(directory_with(calendar(event))) == expected
    own = vtimezone(name.strip('"'), "19700101T000000 -0700 -0700")
    assert shifts_of(directory_with(calendar(event, head=own))) == ["2027-07-23 16:00 - 17:00"]


MEANINGS = {
    "summer time in EST": ("EST", US_EAST, "2027-07-23 13:00 - 14:00"),
    "another offset under a known name": (
        "Europe/London",
        ("19700101T000000 +0500 +0500",),
        "2027-07-23 04:00 - 05:00",
    ),
    "the rules of another zone": ("Europe/London", EUROPE, "2027-07-23 07:00 - 08:00"),
    "no summer time under a known name": (
        "America/New_York",
        ("19700101T000000 -0500 -0500",),
        "2027-07-23 14:00 - 15:00",
    ),
    "rules of before 2007": (
        "America/New_York",
        (
            "19700426T020000 -0500 -0400 FREQ=YEARLY;BYMONTH=4;BYDAY=1SU",
            "19701025T020000 -0400 -0500 FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        ),
        "2027-07-23 13:00 - 14:00",
    ),
    "a year of a known zone": (
        "Europe/Berlin",
        ("20260329T020000 +0100 +0200", "20261025T030000 +0200 +0100"),
        "2027-07-23 07:00 - 08:00",
    ),
    "one change of a known zone": ("Europe/Berlin", ("20261025T030000 +0200 +0100",), "2027-07-23 07:00 - 08:00"),
    "offsets that the zone once had": ("Europe/Moscow", ("20110327T020000 +0300 +0400",), "2027-07-23 06:00 - 07:00"),
    "Outlook's name and rules": ("Romance Standard Time", EUROPE, "2027-07-23 07:00 - 08:00"),
    "a zone of one's own": ("Our Office", EUROPE, "2027-07-23 07:00 - 08:00"),
    "a zone since the year 1": ("Our Office", ("00010101T000000 +0530 +0530",), "2027-07-23 03:30 - 04:30"),
    "changes by date": (
        "Our Office",
        ("20270101T000000 +0100 +0100", "20270601T000000 +0100 +0300"),
        "2027-07-23 06:00 - 07:00",
    ),
}


@pytest.mark.parametrize(("name", "observances", "shift"), MEANINGS.values(), ids=MEANINGS)
def test_a_zone_means_what_its_vtimezone_says_unless_it_copies_a_known_one(
    name: str, observances: tuple[str, ...], shift: str
) -> None:
    event = f"DTSTART;TZID={name}:20270723T090000\nDURATION:PT1H\nSUMMARY:Sam Ortega"
    assert shifts_of(directory_with(calendar(event, head=vtimezone(name, *observances)))) == [shift]


def test_a_copy_of_a_zone_follows_the_pinned_rules() -> None:
    """On 20 March 2027 the rules of before 2007 have winter time in New York."""
    name, observances, _ = MEANINGS["rules of before 2007"]
    event = f"DTSTART;TZID={name}:20270320T090000\nDURATION:PT1H\nSUMMARY:Sam Ortega"
    text = calendar(event, head=vtimezone(name, *observances))
    assert shifts_of(directory_with(text)) == ["2027-03-20 13:00 - 14:00"]


def test_two_calendars_may_mean_different_zones_by_one_name() -> None:
    event = "DTSTART;TZID=Desk:20270723T090000\nDURATION:PT1H\nSUMMARY:Sam Ortega"
    texts = [calendar(event, head=vtimezone("Desk", f"19700101T000000 {at} {at}")) for at in ("+0100", "+0200")]
    assert [shifts_of(directory_with(text))[0] for text in texts] == [
        "2027-07-23 08:00 - 09:00",
        "2027-07-23 07:00 - 08:00",
    ]
    both = directory_with(texts[0] + texts[1].replace("20270723", "20270724").replace("UID:0", "UID:1"))
    assert shifts_of(both) == ["2027-07-23 08:00 - 09:00", "2027-07-24 07:00 - 08:00"]


def test_a_series_in_a_zone_of_its_own_follows_its_clock_changes() -> None:
    event = "DTSTART;TZID=Desk:20270313T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nSUMMARY:Sam Ortega"
    assert shifts_of(directory_with(calendar(event, head=vtimezone("Desk", *US_EAST)))) == [
        "2027-03-13 14:00 - 15:00",
        "2027-03-14 13:00 - 14:00",
    ]
