"""Which characters ids, lines and blocks of text may contain, checked and repaired."""

from collections.abc import Callable

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin.characters import (
    BLOCK_PATTERN,
    ID_PATTERN,
    LINE_PATTERN,
    canonical_id,
    check_block,
    check_id,
    check_line,
    clean_block,
    clean_id,
    clean_line,
    is_id,
    is_line,
    one_line,
)

CONTROLS = ["\x00", "\x07", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ud800"]
LINE_BREAKS_AND_TABS = ["\n", "\r", "\t"]
DIRECTIONS = ["\u202a", "\u202e", "\u2066", "\u2069"]
ZERO_WIDTH_SPACES = ["\u200b", "\u2060", "\ufeff"]
NONCHARACTERS = ["\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff"]
INVISIBLE = ["\u00ad", "\u200b", "\u200d", "\u200e", "\u2060", "\u3164", "\ufe0f", "\ufeff", "\U000e0041"]


@pytest.mark.parametrize("character", CONTROLS)
def test_a_control_character_is_rejected_everywhere(character: str) -> None:
    for check in (check_id, check_line, check_block):
        with pytest.raises(ValueError, match=rf"remove U\+{ord(character):04X} after 1 characters"):
            check(f"a{character}b")
    assert clean_line(f"a{character}b") == clean_id(f"a{character}b") == one_line(f"a{character}b", 9) == "a b"


@pytest.mark.parametrize("character", NONCHARACTERS)
def test_a_code_point_that_is_not_a_character_is_rejected_everywhere(character: str) -> None:
    for check in (check_id, check_line, check_block):
        with pytest.raises(ValueError, match=rf"remove U\+{ord(character):04X} after 1 characters"):
            check(f"a{character}b")
    assert {clean(f"a{character}b") for clean in (clean_id, clean_line, clean_block)} == {"ab"}


def test_a_line_has_no_line_breaks_tabs_directions_and_zero_width_spaces() -> None:
    for character in (*LINE_BREAKS_AND_TABS, *DIRECTIONS, *ZERO_WIDTH_SPACES):
        assert not is_line(f"a{character}b")
    assert clean_line("\ufeffAda\u200b By\u2060ron") == "Ada Byron"
    assert clean_line(" x\r\nBcc: \u202eb@c.example\t") == "x Bcc: b@c.example"
    assert check_line("Zoë 👨‍👩‍👧 ❤️ می‌خواهم") == "Zoë 👨‍👩‍👧 ❤️ می‌خواهم"


def test_an_id_has_no_invisible_characters_either() -> None:
    for character in (*LINE_BREAKS_AND_TABS, *DIRECTIONS, *INVISIBLE):
        assert not is_id(f"a{character}b")
    assert clean_id("\ufeff SR-\u200b1042\u202c ") == "SR-1042"


def test_spellings_of_an_id_that_look_the_same_are_the_same() -> None:
    assert check_id("cafe\u0301 ") == canonical_id(" caf\u00e9") == clean_id("caf\u00e9") == "caf\u00e9"
    assert check_id("SR-1042\u00a0") == "SR-1042"
    assert check_id("SR  1042") == clean_id("SR  1042") == "SR  1042"
    assert clean_id("SR\r\n1042") == "SR 1042"
    assert check_id("sr-1042") != check_id("SR-1042")


def test_a_block_keeps_line_breaks_and_tabs() -> None:
    assert check_block("a\r\n\tb\n\u202ac\u202c\u200b") == "a\n\tb\n\u202ac\u202c\u200b"
    assert clean_block("a\rb\x85c\u2028d\x00e") == "a\nb\nc\nde"
    with pytest.raises(ValueError, match="control characters"):
        check_block("a\rb")


def test_shown_text_is_cut_and_has_no_invisible_characters_but_joiners() -> None:
    assert one_line("a\u200b\u202e b\u00ad" * 50, 6) == "a ba…"
    assert one_line("👨‍👩‍👧 ❤️", 20) == "👨‍👩‍👧 ❤️"


TEXTS = st.text(
    st.sampled_from("aé\u0301 \r\n" + "".join([*CONTROLS, *DIRECTIONS, *INVISIBLE, *NONCHARACTERS])) | st.characters()
)


@given(TEXTS)
def test_repaired_text_passes_the_check_and_checked_text_stays(text: str) -> None:
    for clean, check in ((clean_id, check_id), (clean_line, check_line), (clean_block, check_block)):
        repaired = clean(text)
        assert check(repaired) == clean(repaired) == repaired


def _accepts(check: Callable[[str], str], text: str) -> bool:
    try:
        check(text)
    except ValueError:
        return False
    return True


@given(TEXTS)
def test_the_patterns_say_what_is_checked(text: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        return  # JSON in UTF-8 has none
    for pattern, check in ((ID_PATTERN, check_id), (LINE_PATTERN, check_line), (BLOCK_PATTERN, check_block)):
        fits = jsonschema.Draft202012Validator({"pattern": pattern}).is_valid(text)
        # Python's $ also matches before a last line break, and a block may have CR LF.
        assert fits == _accepts(check, text) or text.endswith("\n") or "\r\n" in text
