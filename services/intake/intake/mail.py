"""A message as RFC 5322 writes it, read into what intake needs of it. Pure.

Strangers write it: broken, mislabelled, nested or huge. Every header and every text is read as far as it can be, what
cannot be decoded is replaced, and nothing but a message that names no sender is unreadable.
"""

import codecs
import re
from base64 import b32encode
from binascii import Error as BinasciiError
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from hashlib import sha256
from typing import Final

from intake.mail_text import text_of_html

LONGEST_TEXT: Final = 9_000
LONGEST_SUBJECT: Final = 300
LARGEST_PART: Final = 1_000_000
_LONGEST_HEADER: Final = 20_000
_LONGEST_NAME: Final = 200
_LONGEST_ADDRESS: Final = 254  # RFC 5321
_MOST_PARTS: Final = 200
_MOST_REFERENCES: Final = 50
_MOST_ADDRESSES: Final = 200
_DEEPEST: Final = 20
_ADDRESS: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\]{1,189}")
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,990})>")
_UNWANTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ud800-\udfff]")
_FOLDED: Final = re.compile(r"\r?\n[ \t]|[\r\n]")
# Codecs that are no character sets of mails: slow, lossy, or with warnings of their own.
_NO_CHARSETS: Final = frozenset({"unicode_escape", "raw-unicode-escape", "raw_unicode_escape", "idna", "punycode"})
_RECIPIENTS: Final = ("To", "Cc")
_ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")


class UnreadableMail(Exception):
    """Bytes that are no message, or one without a sender; str() says which."""


@dataclass(frozen=True, slots=True)
class Address:
    """`email` is in lower case; `name` is empty where none was written."""

    name: str
    email: str

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Mail:
    """A message. Ids are without their angle brackets.

    `message_id`: the sender's, or one made of the content where the sender gave none. `references`: what it answers,
    the nearest first. `recipients` are To and Cc, `delivered_to` what mail servers noted of the envelope. `text` is
    plain, at most LONGEST_TEXT characters. `attachments` are listed by their names, and otherwise ignored. `automatic`
    says why no human wrote it; null: one did, as far as a message tells.
    """

    message_id: str
    references: tuple[str, ...]
    sender: Address
    recipients: tuple[Address, ...]
    delivered_to: tuple[str, ...]
    subject: str
    text: str
    attachments: tuple[str, ...]
    automatic: str | None
    authentication: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The short id that stands for the message where people read one: `MAIL-` and 12 letters and digits."""
        return reference_of(self.message_id)


def reference_of(message_id: str) -> str:
    """The short id of a message, the same for ever."""
    return "MAIL-" + b32encode(sha256(message_id.encode(errors="replace")).digest())[:12].decode()


def read_mail(raw: bytes) -> Mail:
    """The message in those bytes. Raises UnreadableMail."""
    try:
        message = BytesParser(policy=compat32).parsebytes(raw)
        return _read(message, raw)
    except RecursionError:
        raise UnreadableMail("is nested too deeply") from None


def _read(message: Message, raw: bytes) -> Mail:
    headers = _Headers(message)
    senders = [*headers.addresses("From"), *headers.addresses("Sender")]
    if not senders:
        raise UnreadableMail("names no sender in From")
    text, attachments = _content(message)
    ids = _MESSAGE_ID.findall(headers.text("Message-ID"))
    return Mail(
        message_id=ids[0] if ids else f"{sha256(raw).hexdigest()}@made.invalid",
        references=_references(headers),
        sender=senders[0],
        recipients=tuple(found for name in _RECIPIENTS for found in headers.addresses(name))[:_MOST_ADDRESSES],
        delivered_to=tuple(found.email for name in _ENVELOPE for found in headers.addresses(name))[:_MOST_ADDRESSES],
        subject=one_line(headers.text("Subject"), LONGEST_SUBJECT),
        text=text,
        attachments=attachments,
        automatic=_automatic(message, headers),
        authentication=tuple(headers.texts("Authentication-Results"))[:10],
    )


def _references(headers: "_Headers") -> tuple[str, ...]:
    nearest = _MESSAGE_ID.findall(headers.text("In-Reply-To"))
    chain = _MESSAGE_ID.findall(headers.text("References"))
    return tuple(dict.fromkeys([*nearest, *reversed(chain)]))[:_MOST_REFERENCES]


def _automatic(message: Message, headers: "_Headers") -> str | None:
    """Why no human wrote this (RFC 3834, and what is used beside it), or None."""
    submitted = headers.text("Auto-Submitted").partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return f"Auto-Submitted: {submitted[:40]}"
    if any(name.lower().startswith("tocsin-") for name in message):
        return "a mail of our own"
    if "Return-Path" in message and not headers.addresses("Return-Path"):
        return "Return-Path: <>"
    if message.get_content_type() in ("multipart/report", "message/delivery-status"):
        return "a report"
    precedence = headers.text("Precedence").strip().lower()
    if precedence in ("bulk", "junk", "auto_reply"):
        return f"Precedence: {precedence}"
    for name in ("X-Auto-Response-Suppress", "X-Autoreply", "X-Autorespond", "X-Failed-Recipients"):
        if headers.text(name).strip().lower() not in ("", "none", "no"):
            return name
    if headers.addresses("From") and headers.addresses("From")[0].email.startswith(("mailer-daemon@", "postmaster@")):
        return "a mail server wrote it"
    return None


class _Headers:
    """Headers as text, whatever bytes they are made of."""

    def __init__(self, message: Message) -> None:
        self._found: dict[str, list[str]] = {}
        for name, value in message.raw_items():
            self._found.setdefault(name.lower(), []).append(str(value)[:_LONGEST_HEADER])

    def texts(self, name: str) -> Iterator[str]:
        for raw in self._found.get(name.lower(), ()):
            yield _decoded(_FOLDED.sub(" ", raw))

    def text(self, name: str) -> str:
        """The first header of that name, decoded; empty where there is none."""
        return next(self.texts(name), "")

    def addresses(self, name: str) -> list[Address]:
        """The addresses in all headers of that name, those that are none left out."""
        raw = [_FOLDED.sub(" ", value) for value in self._found.get(name.lower(), ())]
        found = []
        for display, email in getaddresses([_octets(value).decode("utf-8", "replace") for value in raw]):
            email = email.strip().lower()
            if _ADDRESS.fullmatch(email) and len(email) <= _LONGEST_ADDRESS and not _UNWANTED.search(email):
                found.append(Address(one_line(_decoded(display), _LONGEST_NAME), email))
        return found


def _octets(raw: str) -> bytes:
    """The bytes of a header as they came: what was no ASCII stands as surrogates in it."""
    return raw.encode("utf-8", "surrogateescape")


def _decoded(raw: str) -> str:
    """A header's text: encoded words (RFC 2047) read, bare 8-bit as UTF-8 or else as Latin-1."""
    octets = _octets(raw)
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
    except (HeaderParseError, BinasciiError, ValueError):
        return text
    return "".join(
        piece if isinstance(piece, str) else characters(piece, charset or "ascii") for piece, charset in pieces
    )


def characters(octets: bytes, charset: str | None) -> str:
    """Text in a character set that may be wrong, unknown or none at all: what cannot be read is replaced."""
    for name in (charset or "utf-8", "utf-8"):
        try:
            if codecs.lookup(name).name in _NO_CHARSETS:
                continue
            return octets.decode(name)
        except (LookupError, ValueError):  # of which UnicodeError is one
            continue
    return octets.decode("latin-1")


def one_line(text: str, limit: int) -> str:
    """On one line, without control characters, cut with an ellipsis."""
    line = " ".join(_UNWANTED.sub(" ", text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _content(message: Message) -> tuple[str, tuple[str, ...]]:
    """The text, and the attachments by their names."""
    plain, html, attachments = [], [], []
    for part in _parts(message):
        kind = part.get_content_type()
        if part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
            attachments.append(_name_of(part))
        elif kind == "text/html":
            html.append(_text_of(part))
        else:
            plain.append(_text_of(part))
    text = "\n".join(piece for piece in plain if piece.strip())
    if not text:
        text = "\n".join(text_of_html(piece) for piece in html)
    text = _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    cut = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    return cut, tuple(attachments)


def _parts(message: Message) -> Iterator[Message]:
    """The parts that hold something, in their order; attached messages are parts, and are not looked into."""
    waiting = [(message, 0)]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part, depth = waiting.pop()
        inside = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inside, list):
            if depth < _DEEPEST:
                waiting += [(each, depth + 1) for each in reversed(inside)]
        else:
            yield part


def _text_of(part: Message) -> str:
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    return characters(octets[:LARGEST_PART], part.get_content_charset())


def _name_of(part: Message) -> str:
    try:
        name = part.get_filename()
    except (LookupError, ValueError):  # a name in a character set that does not exist
        name = None
    return one_line(_decoded(str(name)), _LONGEST_NAME) if name else part.get_content_type()
