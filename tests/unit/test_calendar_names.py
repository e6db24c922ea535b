"""Whom events name, however the name is written."""

from datetime import UTC, datetime

import pytest
from support.calendars import calendar, directory_with, person_at
from tocsin.directory import lint_directory

NAMED = {
    "decomposed": ("SUMMARY:On call: Toma\u0301s Herrera", "tomas.herrera"),
    "upper case": ("SUMMARY:TOM\u00c1S HERRERA", "tomas.herrera"),
    "a non-breaking space": ("SUMMARY:Tom\u00e1s\u00a0 Herrera (primary)", "tomas.herrera"),
    "invisible signs": ("SUMMARY:\u200eTom\u00e1s Her\u00adrera\ufe0f", "tomas.herrera"),
    "full width": ("SUMMARY:\uff33\uff41\uff4d Ortega", "sam.ortega"),
    "last name first": ("SUMMARY:Herrera\\, Tom\u00e1s (on call)", "tomas.herrera"),
    "last name first, without a space": ("SUMMARY:HERRERA\\,Toma\u0301s", "tomas.herrera"),
    "last of two names first": ("SUMMARY:Ka\u00e7ar O\u2019Neil\\, Ay\u015fe", "ayse"),
    "an apostrophe": ("SUMMARY:Ay\u015fe Ka\u00e7ar O\u2032Neil", "ayse"),
    "a dotless i": ("SUMMARY:ISIL YILDIZ\u2013SMITH", "isil"),
    "an attendee's name": ('SUMMARY:x\nATTENDEE;CN="Herrera, Tom\u00e1s":mailto:th@elsewhere.example', "tomas.herrera"),
    "an attendee's name that is an address": (
        "SUMMARY:x\nATTENDEE;CN=maya@home.example.com:invalid:nomail",
        "maya.lindqvist",
    ),
    "an attendee's EMAIL": ("SUMMARY:x\nATTENDEE;EMAIL=sam.ortega@example.com:urn:uuid:1", "sam.ortega"),
    "an address before a name": (
        "SUMMARY:x\nATTENDEE;CN=Sam Ortega:mailto:other@example.com\nATTENDEE:mailto:maya@home.example.com",
        "maya.lindqvist",
    ),
    "somebody who declined": (
        "SUMMARY:x\nATTENDEE;PARTSTAT=DECLINED;CN=Sam Ortega:mailto:sam.ortega@example.com",
        None,
    ),
    "a longer name": ("SUMMARY:On call: Sam Ortega Ruiz", "ruiz"),
    "a longer name of nobody": ("SUMMARY:Maya Lindqvist Berg", "maya.lindqvist"),
    "no accents": ("SUMMARY:On call: Tomas Herrera", "tomas.herrera"),
    "no accents, last name first": ("SUMMARY:HERRERA\\, TOMAS", "tomas.herrera"),
    "no accents in an attendee's name": ("SUMMARY:x\nATTENDEE;CN=Ayse Kacar O'Neil:invalid:nomail", "ayse"),
    "no strokes": ("SUMMARY:Soren Lodz", "soren"),
    "accents that the directory does not have": ("SUMMARY:M\u00e1ya Lindqvist", "maya.lindqvist"),
    "the exact name before one with an accent": ("SUMMARY:Rene Roy", "rene"),
    "the name with its accent": ("SUMMARY:Ren\u00e9 Roy", "rene.2"),
    "no accents, two people": ("SUMMARY:Zoe Kim", None),
    "another letter in another script": ("SUMMARY:\u304b\u3068\u3046", None),
    "two people": ("SUMMARY:Sam Ortega / Maya Lindqvist", None),
    "a name of two people": ("SUMMARY:Chris Lee", None),
    "an address instead": ("SUMMARY:chris.2@example.com", "chris.2"),
    "two titles": ("SUMMARY;LANGUAGE=de:Bereitschaft Sam Ortega\nSUMMARY;LANGUAGE=en:Sam Ortega on call", "sam.ortega"),
}
MORE_PEOPLE = """\
people:
  maya.lindqvist: { name: Maya Lindqvist, email: maya.lindqvist@example.com, fallbacks: [maya@home.example.com] }
  sam.ortega: { name: Sam Ortega, email: sam.ortega@example.com }
  ruiz: { name: Sam Ortega Ruiz, email: ruiz@example.com }
  tomas.herrera: { name: Tom\u00e1s Herrera, email: tomas.herrera@example.com }
  ayse: { name: "Ay\u015fe Ka\u00e7ar O'Neil", email: ayse@example.com }
  isil: { name: "Isil Y\u0131ld\u0131z-Smith", email: isil@example.com }
  soren: { name: "S\u00f8ren \u0141\u00f3d\u017a", email: soren@example.com }
  rene: { name: Rene Roy, email: rene@example.com }
  rene.2: { name: Ren\u00e9 Roy, email: rene.2@example.com }
  zoe.1: { name: Zo\u00eb Kim, email: zoe.1@example.com }
  zoe.2: { name: Zo\u00e9 Kim, email: zoe.2@example.com }
  gato: { name: \u304c\u3068\u3046, email: gato@example.com }
  chris.1: { name: Chris Lee, email: chris.1@example.com }
  chris.2: { name: Chris Lee, email: chris.2@example.com }
"""


@pytest.mark.parametrize(("lines", "person"), NAMED.values(), ids=NAMED)
def test_the_people_that_events_name(lines: str, person: str | None) -> None:
    text = calendar(f"DTSTART:20270105T140000Z\nDURATION:PT8H\n{lines}")
    assert person_at(directory_with(text, people=MORE_PEOPLE), "2027-01-05T15:00Z") == person


def test_an_ambiguous_event_is_named_with_whom_it_may_mean() -> None:
    text = calendar("DTSTART:20270105T140000Z\nDURATION:PT8H\nSUMMARY:Sam Ortega / Maya Lindqvist")
    year = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    (found,) = (one for one in lint_directory(directory_with(text), *year) if one.path[0] == "rotations")
    assert found.message == (
        "the event `Sam Ortega / Maya Lindqvist` at 2027-01-05 14:00 UTC may mean Maya Lindqvist or Sam Ortega, so it "
        "puts nobody on call; write an address or an id instead of the name, or invite the person"
    )
    assert not found.harmless
