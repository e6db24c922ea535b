"""Control characters in ids, names and addresses."""

import pytest
from tocsin.plain_text import has_control_characters, without_control_characters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x\r\nBcc: a@b", "x Bcc: a@b"),
        ("Ada\x00 \t Byron", "Ada Byron"),
        ("Ada\u2028Byron\u2029", "Ada Byron"),
        ("\u202dAda\u202e", "Ada"),
        ("\ufeff17\x85", "17"),
        ("\r\n", ""),
        ("a\ud800b", "a b"),
    ],
)
def test_control_characters_are_replaced_by_one_space(text: str, expected: str) -> None:
    assert has_control_characters(text)
    assert without_control_characters(text) == expected
    assert not has_control_characters(expected)


@pytest.mark.parametrize("text", ["", "Ada  Byron", "नि\u200dमा", "👩\u200d🔧", "می\u200cخواهم", "José", "北京"])
def test_other_text_is_kept(text: str) -> None:
    assert not has_control_characters(text)
    assert without_control_characters(f" {text} ") == text


def test_a_long_text_is_cleaned_in_linear_time() -> None:
    assert without_control_characters(" " * 200_000 + "a" + "\n " * 200_000) == "a"
