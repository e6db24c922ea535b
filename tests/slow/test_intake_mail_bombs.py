"""Mails of 10 MB that were crafted to keep intake busy are read in a fraction of a second.

The limit is ten times what a busy machine needs. The standard library needs minutes for most of these mails.
"""

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.mail import MAX_TEXT_LENGTH, own_text, read_mail
from support.search_budget import tries
from tocsin.mail import UnreadableMailError

BYTES = 10_000_000
# Of a text, only the first 300,000 bytes are read.
TEXT_BYTES = 500_000
SECONDS = 2.0
FROM = b"From: Ada <ada@acme.example>\r\n"
MIXED = FROM + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
ATTACHED = b"Content-Type: message/rfc822\r\n\r\n"
NAMES = ["Subject", "From", "To", "References", "Authentication-Results", "Content-Type"]
WORDS = ["=?a?q?x", "=?x1?q?a?= ", "<a@b.c>, ", "a:b,", "(", '"', "@", "; a=", '; a="', "; name*0=x", "\n ", "\xff"]
HTML = [
    "<p hidden>",
    "<pre>",
    "<td>",
    "<meta ",
    "<a style=",
    "<a ",
    "<!--",
    "<a b='",
    "<",
    "</",
    "<b>",
    "<script>",
    "<style><",
    "&#9",
    "\u2003",
    "\r\n",
    "=",
    "--!",
]
ENCODED = ["Q", "=", "=\n", "= \n", "=4=\n1", "QQ==\n", "\n", "M" + "A" * 60 + "\n", "begin 644 x\n"]


def filled(unit: str | bytes, size: int) -> bytes:
    octets = unit if isinstance(unit, bytes) else unit.encode()
    return (octets * (size // len(octets) + 1))[:size]


def nested(depth: int) -> bytes:
    return FROM + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )


def seconds(raw: bytes) -> float:
    """The processor time to read the mail, or to find it unreadable."""
    began = time.process_time()
    with suppress(UnreadableMailError):
        read_mail(raw[:BYTES])
    return time.process_time() - began


@pytest.mark.parametrize("unit", HTML, ids=repr)
def test_html_costs_little_time(unit: str) -> None:
    assert seconds(FROM + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + filled(unit, TEXT_BYTES)) < SECONDS
    assert seconds(FROM + b"Content-Type: text/html\r\n\r\n<a b='" + filled(unit, TEXT_BYTES)) < SECONDS


@pytest.mark.parametrize("unit", WORDS, ids=repr)
def test_headers_cost_little_time(unit: str) -> None:
    for line in (name.encode() + b": " for name in NAMES):
        assert seconds(FROM + line + filled(unit, 290_000) + b"\r\n\r\nx") < SECONDS
        assert seconds(FROM + (line + filled(unit, 3_900) + b"\r\n") * 75 + b"\r\nx") < SECONDS
        assert seconds(FROM + (line + filled(unit, 250) + b"\r\n") * 990 + b"\r\nx") < SECONDS


@pytest.mark.parametrize("unit", ENCODED, ids=repr)
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode"])
def test_encodings_cost_little_time(encoding: str, unit: str) -> None:
    lines = b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\nbegin 644 x\n"
    # Of a text only the beginning is decoded, of an attached mail all.
    assert seconds(FROM + b"Content-Type: message/rfc822\r\n" + lines + filled(unit, BYTES)) < SECONDS
    assert seconds(FROM + lines + filled(unit, TEXT_BYTES)) < SECONDS


@pytest.mark.parametrize("charset", ["utf-7", "idna", "punycode", "unicode_escape", "iso-2022-jp-ext", "x" * 3_000])
@pytest.mark.parametrize("unit", ["\xff", "+2AA-", "\x1b$B!!"], ids=repr)
def test_charsets_cost_little_time(charset: str, unit: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
    assert seconds(FROM + header + filled(unit, TEXT_BYTES)) < SECONDS


@pytest.mark.parametrize("unit", WORDS, ids=repr)
def test_parameters_of_parts_cost_little_time(unit: str) -> None:
    part = b"--b\r\nContent-Disposition: attachment" + filled(unit, 9_000) + b"\r\n\r\n" + b"y" * 80_000 + b"\r\n"
    assert seconds(MIXED + part * 100) < SECONDS


@pytest.mark.parametrize(
    "raw",
    {
        "nested": nested(200) + filled("\r\n", BYTES),
        "nested deeper": nested(100_000),
        "nested, and dashes": nested(200) + filled("--c\r\n", BYTES),
        "nested mails": FROM + filled("Content-Type: message/rfc822\r\n\r\n", BYTES),
        "nested mails with text": FROM + filled(ATTACHED + FROM, 500) + b"\r\n" + filled("x\r\n", BYTES),
        "attached mails": MIXED + filled(b"--b\r\n" + ATTACHED + FROM + b"\r\n" + b"x\r\n" * 33_000, BYTES),
        "mails without boundaries": MIXED + filled("--b\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\n", BYTES),
        "no headers": FROM + filled("x\n", BYTES),
        "damaged headers": FROM + filled("x\nTo:\n", BYTES),
        "blanks before colons": FROM + filled("a" + " " * 500 + ":\n", BYTES),
        "empty lines before the sender": filled("To:\n\n", BYTES),
        "mbox lines": filled(">From \n", BYTES),
        "digest": FROM + b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + filled("--b\r\n\r\n", BYTES),
        "parts": MIXED + filled("--b\r\n\r\nx\r\n", BYTES),
        "parts of headers": MIXED + filled(b"--b\r\n" + b"a:\n" * 6_600 + b"\r\n" + b"y" * 70_000 + b"\r\n", BYTES),
        "ends": MIXED + filled("--b--\r\n", BYTES),
        "dashes": MIXED + filled("\n--", BYTES),
        "lines": FROM + filled("\n", BYTES),
        "old lines": FROM + b"\r\n" + filled("\r", BYTES),
        "headers": FROM + filled("a:\n", BYTES),
        "received": FROM + filled("Received: from a by b; x\r\n", 25_000) + b"\r\nx",
        "one header": FROM + b"X: " + filled("a", BYTES),
        "folds": FROM + b"Subject: x" + filled("\n x", BYTES),
        "references": FROM + b"References: " + b" ".join(b"<%d@a>" % n for n in range(100_000)) + b"\r\n\r\nx",
        "addresses": FROM + (b"To: " + filled("a@b.example, ", 19_998) + b"\r\n") * 100 + b"\r\nx",
        "groups": b"".join(name + b": a:" + b"b," * 4_000 + b"\r\n" for name in (b"To", b"Cc", b"From", b"Sender")),
    }.items(),
    ids=lambda item: item[0],
)
def test_structures_cost_little_time(raw: tuple[str, bytes]) -> None:
    assert seconds(raw[1]) < SECONDS


@pytest.mark.parametrize("unit", [" ", "\t", "schrieb ", "schrieb  ", ":", ": ", "@", "-", "_", "1999 ", ">"], ids=repr)
@pytest.mark.parametrize("start", ["", "on ", "On " + "schrieb " * 36, "from: ", "--", "on 1999\n"])
def test_quotes_in_replies_cost_little_time(start: str, unit: str) -> None:
    text = start + filled(unit, MAX_TEXT_LENGTH - len(start)).decode() + "x"
    began = time.process_time()
    own_text(text)
    assert time.process_time() - began < SECONDS


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*HTML, *WORDS, *ENCODED, "--b\r\n", "\r\n\r\n", "Content-Type: "]), st.integers(1, 9)
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["", "Subject: ", "To: ", "Content-Type: text/html; a=", "Content-Type: text/html\r\n\r\n"]),
    st.sampled_from([250_000, BYTES]),
)
@settings(max_examples=tries(20), deadline=None)
def test_any_pattern_costs_little_time(units: list[tuple[str, int]], before: str, size: int) -> None:
    assert seconds(FROM + before.encode() + filled("".join(unit * times for unit, times in units), size)) < SECONDS
