"""A message as RFC 5322 writes it, read into what intake needs of it. Pure.

Strangers write it: broken, mislabelled, nested or huge. Every header and every text is read as far as it can be, what
cannot be decoded is replaced, and nothing but a message that names no sender is unreadable.
"""

import re
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from hashlib import sha256
from typing import Final

from intake.mail.headers import LONGEST_NAME, READING, UNWANTED, Address, Headers, characters, decoded, one_line
from intake.mail.html_text import text_of_html

LONGEST_TEXT: Final = 9_000
LONGEST_SUBJECT: Final = 300
LARGEST_PART: Final = 1_000_000
_MOST_BOUNDARIES: Final = 10_000
_MOST_PARTS: Final = 200
_MOST_REFERENCES: Final = 50
_MOST_ADDRESSES: Final = 200
_DEEPEST: Final = 20
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,990})>")
_RECIPIENTS: Final = ("To", "Cc")
_ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")


class UnreadableMail(Exception):
    """Bytes that are no message, or one without a sender; str() says which."""


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
    if raw.count(b"\n--") > _MOST_BOUNDARIES:
        raise UnreadableMail("has too many parts")
    try:
        return _read(BytesParser(policy=READING).parsebytes(raw), raw)
    except RecursionError:
        raise UnreadableMail("is nested too deeply") from None


def _read(message: Message, raw: bytes) -> Mail:
    headers = Headers(message)
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


def _references(headers: Headers) -> tuple[str, ...]:
    nearest = _MESSAGE_ID.findall(headers.text("In-Reply-To"))
    chain = _MESSAGE_ID.findall(headers.text("References"))
    return tuple(dict.fromkeys([*nearest, *reversed(chain)]))[:_MOST_REFERENCES]


def _automatic(message: Message, headers: Headers) -> str | None:
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
    text = UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
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
                waiting += [(each, depth + 1) for each in reversed(inside) if isinstance(each, Message)]
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
    return one_line(decoded(str(name)) if name else part.get_content_type(), LONGEST_NAME)
