"""Which texts are addresses that mail can be sent to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin.email_address import is_usable_email


@pytest.mark.parametrize(
    "text",
    [
        "ada@acme.example",
        "a.b+c@mail.acme.example",
        "O'Brien@acme.example",
        "ada@müller.example",
        "jörg@acme.example",
        "ada@acme.local",
    ],
)
def test_addresses_of_all_countries_are_usable(text: str) -> None:
    assert is_usable_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ada@acme",
        "ada@localhost",
        "ada@[127.0.0.1]",
        "Ada <ada@acme.example>",
        "ada@acme.example, bob@acme.example",
        '"a b"@acme.example',
        "ada@acme.example\u2028",
        "ada\u00a0@acme.example",
        "=?utf-8?q?a=0D=0ABcc=3A_x?=@acme.example",
        "a" * 250 + "@acme.example",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert not is_usable_email(text)


@given(
    at=st.integers(min_value=0, max_value=16),
    character=st.characters(categories=["Cc", "Cf", "Zs", "Zl", "Zp"]),
)
def test_no_address_contains_a_blank_a_line_break_or_a_control_character(at: int, character: str) -> None:
    address = "ada@acme.example"
    assert not is_usable_email(address[:at] + character + address[at:])
