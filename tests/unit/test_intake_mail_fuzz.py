"""Random mails with a request in one of their parts: it is never lost, and damaged bytes are read or refused."""

from base64 import encodebytes
from dataclasses import dataclass
from pathlib import Path
from quopri import encodestring

from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.mail import read_mail
from support.search_budget import tries
from tocsin.mail import UnreadableMailError

RECORDED = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "recorded/mails").glob("*.eml"))]
REQUEST = "Der Drucker im Büro brennt"
CHARSETS = [
    "utf-8",
    "UTF8",
    "iso-8859-1",
    "windows-1252",
    "iso-8859-15",
    "utf-16",
    "utf-7",
    "cp850",
    '"utf-8"',
    "macintosh",
]
UNSTATED = ["", "; charset=x-unknown", "; charset=us-ascii", "; charset=default_charset"]
BOUNDARIES = ["edge", "=_x y", "----=_Next:1", "'odd'", "a(b)?c"]
OTHERS = [
    b"Content-Type: text/plain\n\n-- \nacme-all mailing list",
    b"Content-Type: text/html\n\n<p>Confidential.</p>",
    b"Content-Type: text/vcard; name=ada.vcf\n\nBEGIN:VCARD",
    b"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR",
    b"Content-Type: application/ms-tnef; name=winmail.dat\n\n\x00\xff\n--",
    b"Content-Type: image/png; name=logo.png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=",
    b"Content-Type: text/plain; name=log.txt\nContent-Disposition: attachment\n\nlog",
    b"\n ",
]
BEFORE = [b"", b">From ada Mon Jan  1 2026\n", b"\xef\xbb\xbf", b"\n"]
HEADERS = [
    b"",
    b"X-Scanned : yes\n",
    b"no header\n",
    b"X-\xff: \xff\n",
    b"X: " + b"long " * 900 + b"\n",
    b": \n",
    b"A\0: \0\n",
]
INSERTED = [
    b"\n",
    b"\n\n",
    b"--",
    b"=",
    b'"',
    b";",
    b"\0",
    b"\xff",
    b"=?utf-8?q?",
    b"<!--",
    b"begin 644 x\n",
    b"Content-Type: multipart/mixed\n",
    b"\x1b$B",
    b"=?utf-7?Q?+2AA-?=",
    b'charset="idna"',
    b"<![",
]


@dataclass(frozen=True)
class Edge:
    """A boundary, and how it stands in its header."""

    line: bytes
    parameter: bytes


def edges(number: int) -> st.SearchStrategy[Edge]:
    def edge(boundary: str, damage: str) -> Edge:
        line = f"{boundary}{number}"
        return Edge(line.encode(), damage.format(line).encode())

    damages = st.sampled_from(
        [
            '; boundary="{}"',
            ';boundary="{}";',
            '; charset=x; boundary="{}',
            '; boundary="\n {}"',
            "",
            "; boundary=wrong",
        ]
    )
    return st.builds(edge, st.sampled_from(BOUNDARIES), damages)


@st.composite
def text_parts(draw: st.DrawFn) -> bytes:
    """The part with the request, in some type, character set and transfer encoding."""
    is_html = draw(st.booleans())
    charset = draw(st.sampled_from(CHARSETS))
    stated = f"; charset={charset}" if draw(st.booleans()) else None
    codec = charset.strip('"') if stated else "utf-8"
    parameters = stated or draw(st.sampled_from(UNSTATED))
    text = f"<div hidden>x</div><p>{REQUEST}<br>" if is_html else REQUEST
    octets = text.encode(codec.replace("macintosh", "mac-roman"))
    name = draw(st.sampled_from(["base64", "quoted-printable", "8bit", "x-unknown"]))
    if codec == "utf-16":
        name = "base64"
    if name == "base64":
        octets = encodebytes(octets) + draw(st.sampled_from([b"", b"*** scanned ***\n", b"\n-- \nlist"]))
    elif name == "quoted-printable":
        octets = encodestring(octets).replace(b"=\n", draw(st.sampled_from([b"=\n", b"= \n"])))
    media_type = draw(
        st.sampled_from(["text/html", '"text/html"'] if is_html else ["text/plain", '"text/plain"', "text", ""])
    )
    return f"Content-Type: {media_type}{parameters}\nContent-Transfer-Encoding: {name}\n\n".encode() + octets


@st.composite
def contents(draw: st.DrawFn, depth: int = 0) -> bytes:
    """The text part, alone or in multiparts with other parts around it."""
    if depth == 3 or draw(st.booleans()):
        return draw(text_parts())
    kind = draw(st.sampled_from(["mixed", "signed", "related", "alternative", "x-odd"]))
    parts = [draw(contents(depth + 1))]
    if kind != "alternative":
        others = st.lists(st.sampled_from(OTHERS), max_size=3)
        parts = [*(draw(others) if kind == "mixed" else []), *parts, *draw(others)]
    edge = draw(edges(depth))
    body = b"".join(b"--" + edge.line + draw(st.sampled_from([b"\n", b" \t\n"])) + part + b"\n" for part in parts)
    end = draw(st.sampled_from([b"", b"--" + edge.line + b"--\n"]))
    return b"Content-Type: multipart/" + kind.encode() + edge.parameter + b"\n\n" + body + end


@st.composite
def mails(draw: st.DrawFn) -> bytes:
    before, odd, end = (draw(st.sampled_from(given)) for given in (BEFORE, HEADERS, [b"\n", b"\r\n"]))
    raw = before + b"From: ada@acme.example\n" + odd + b"Subject: Fire\n" + draw(contents())
    return raw.replace(b"\n", end)


@given(mails())
@settings(max_examples=tries(40), deadline=None)
def test_the_request_is_never_lost(raw: bytes) -> None:
    mail = read_mail(raw)
    assert (mail.sender.email, mail.subject) == ("ada@acme.example", "Fire")
    assert REQUEST in mail.text


@given(st.sampled_from(RECORDED) | mails(), st.data())
@settings(max_examples=tries(40), deadline=None)
def test_a_mail_with_damaged_bytes_is_read_or_unreadable(mail: bytes, data: st.DataObject) -> None:
    raw = bytearray(mail)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 20))] = data.draw(
            st.sampled_from(INSERTED) | st.binary(max_size=5)
        )
    try:
        found = read_mail(bytes(raw))
    except UnreadableMailError:
        return
    for text in (found.subject, found.text, found.sender.name, found.sender.email, *found.attachments):
        assert "\0" not in text
        text.encode()
    assert found.reference.isascii()
