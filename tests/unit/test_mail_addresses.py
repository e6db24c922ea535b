"""Addresses in mail headers: the same on every version of Python, and never those of somebody else."""

from email.utils import formataddr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.mail import read_mail
from tocsin.mail import EmailAddress, UnreadableMailError
from tocsin.mail.addresses import parse_addresses

ADA = "ada@acme.example"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (ADA, ""),
        (f"<{ADA}>", ""),
        (f"Ada <{ADA}>", "Ada"),
        (f"Ada Byron<{ADA}>", "Ada Byron"),
        (f'"Byron, Ada" <{ADA}>', "Byron, Ada"),
        (f'"Ada \\"A\\" Byron" <{ADA}>', 'Ada "A" Byron'),
        (f"=?utf-8?q?Byron=2C_Ada?= <{ADA}>", "Byron, Ada"),
        (f"Søren <{ADA}>", "Søren"),
        (f"{ADA} <{ADA}>", ADA),
        (f'"{ADA}" <{ADA}>', ADA),
        (f"'{ADA}' <{ADA}>", ADA),
        (f"'Ada Byron' <{ADA}>", "Ada Byron"),
        (f"\"'Byron, Ada'\" <{ADA}>", "Byron, Ada"),
        (f"Ada O'Neil' <{ADA}>", "Ada O'Neil'"),
        (f"Ada <<{ADA}>>", "Ada"),
        (f"<<{ADA}>>", ""),
        (f"ceo@other.example <{ADA}>", "ceo@other.example"),
        (f"{ADA} (Ada Byron)", "Ada Byron"),
        (f"Ada (sales (EMEA)) <{ADA}>", "Ada"),
        (f'(5" disk) <{ADA}>', '5" disk'),
        ("ada @ acme . example", ""),
        (f"Ada <@relay.example:{ADA}>", "Ada"),
        (f"Ada\r\n <{ADA}>", "Ada"),
        (f"Byron, Ada <{ADA}>", "Byron, Ada"),
        (f"=?utf-8?q?B=C3=BCron?=, Ada <{ADA}>", "Büron, Ada"),
        (f"Ada <{ADA}", "Ada"),
        (f'"Ada <{ADA}>', "Ada"),
        (f"=?utf-8?q?=22Ada=22_=3C{ADA}=3E?=", "Ada"),
        ('"ada"@acme.example', ""),
        (f"<{ADA}.>", ""),
        (f"<\u200b{ADA}>", ""),
        (f"ADA <{ADA.upper()}>", "ADA"),
    ],
)
def test_the_sender(header: str, name: str) -> None:
    assert read_mail(f"From: {header}\r\n\r\nx".encode()).sender == EmailAddress(name, ADA)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "<>",
        "Ada Byron",
        f"Ada {ADA}",
        f"<{ADA}> <mallory@evil.example>",
        f"(Ada <{ADA}>",
        "ada@acme.example)mallory@evil.example",
        f"undisclosed-recipients:; ({ADA})",
        '"ada b"@acme.example',
        "ada@[192.0.2.1]",
        f"{'a' * 65}@acme.example",
    ],
)
def test_a_mail_without_an_unambiguous_sender_is_unreadable(header: str) -> None:
    with pytest.raises(UnreadableMailError, match="has no sender"):
        read_mail(f"From: {header}\r\n\r\nx".encode())


def test_the_sender_header_replaces_a_missing_from() -> None:
    assert read_mail(f"From: Ada\r\nSender: <{ADA}>\r\n\r\nx".encode()).sender.email == ADA


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a@x.example, B <b@x.example>", ["a@x.example", "b@x.example"]),
        ("a@x.example; b@x.example", ["a@x.example", "b@x.example"]),
        ('"a@x.example, fake@x.example" <b@x.example>', ["b@x.example"]),
        ("Team: a@x.example, B <b@x.example>;, c@x.example", ["a@x.example", "b@x.example", "c@x.example"]),
        ("undisclosed-recipients:;", []),
        (", ,a@x.example,", ["a@x.example"]),
        ("<broken, a@x.example", []),
        ("Byron, b@x.example; C, C <c@x.example>", ["b@x.example", "c@x.example"]),
        ("B <<b@x.example>, a@x.example", ["b@x.example", "a@x.example"]),
    ],
)
def test_recipients(header: str, expected: list[str]) -> None:
    mail = read_mail(f"From: {ADA}\r\nTo: {header}\r\nCc: cc@x.example\r\nReply-To: r@x.example\r\n\r\nx".encode())
    assert [address.email for address in mail.recipients] == [*expected, "cc@x.example"]


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"), max_size=30).map(
    lambda text: " ".join(text.split())
)


@given(
    st.lists(st.tuples(NAMES, st.from_regex(r"[a-z0-9.+-]{1,20}@[a-z0-9-]{1,20}\.example", fullmatch=True)), max_size=5)
)
def test_addresses_as_the_standard_library_writes_them(pairs: list[tuple[str, str]]) -> None:
    header = ", ".join(formataddr(pair) for pair in pairs)
    assert parse_addresses(header) == pairs


@given(st.text(max_size=60))
def test_any_text_has_at_most_one_address_per_element(text: str) -> None:
    assert len(parse_addresses(text)) <= 1 + text.count(",") + text.count(";")
