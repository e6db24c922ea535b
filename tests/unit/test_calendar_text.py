"""The bytes of an iCalendar as text."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin.sources.calendar_text import decode_calendar

TEXT = "BEGIN:VCALENDAR\r\nSUMMARY:Tomás Herrera €\r\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("windows-1252"),
        TEXT.encode().replace("á".encode(), b"\xc3\r\n \xa1"),
        TEXT.encode().replace("á".encode(), b"\xc3\n\t\xa1"),
    ],
    ids=["UTF-8", "byte order mark", "UTF-16", "UTF-16 BE", "UTF-32", "Windows-1252", "folded inside", "folded by LF"],
)
def test_the_text_is_the_same_in_every_encoding(content: bytes) -> None:
    assert decode_calendar(content) == TEXT


def test_a_line_in_another_character_set_does_not_damage_the_others() -> None:
    content = "SUMMARY:Tomás\r\n".encode() + "LOCATION:Zürich\r\n".encode("latin-1")
    assert decode_calendar(content) == "SUMMARY:Tomás\r\nLOCATION:Zürich\r\n"


@given(st.binary(max_size=200))
def test_every_content_has_a_text_that_can_be_written(content: bytes) -> None:
    decode_calendar(content).encode()
