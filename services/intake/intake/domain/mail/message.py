"""A message as RFC 5322 writes it, read into what intake needs of it. Pure.

Strangers write it: broken, mislabelled, nested or huge. Every header and every text is read as far as it can be, what
cannot be decoded is replaced, and nothing but a message that names no sender, or has more headers than any mail, is
unreadable. What is looked at is bounded before anything asks more of it than one pass.
"""

import re
from base64 import b32encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Final

from intake.domain.mail.headers import LONGEST_RECIPIENTS, UNWANTED, Address, MailHeaders, characters, one_line
from intake.domain.mail.html_text import text_of_html
from intake.domain.mail.outline import MessageOutline, MimePart, TooManyHeadersError, outline

LONGEST_TEXT: Final = 9_000
LONGEST_SUBJECT: Final = 300
_LARGEST_TEXTS: Final = 300_000
_MOST_REFERENCES: Final = 50
_MOST_ADDRESSES: Final = 200
_RECIPIENTS: Final = ("To", "Cc")
_COMMENT: Final = re.compile(r"\([^()]*\)")
_ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")


class UnreadableMailError(Exception):
    """Bytes that are no message, or one without a sender; str() says which."""


@dataclass(frozen=True, slots=True)
class InboundMail:
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


def read_mail(raw: bytes) -> InboundMail:
    """The message in those bytes. Raises UnreadableMailError."""
    try:
        message = outline(raw)
    except TooManyHeadersError as too_many:
        raise UnreadableMailError(str(too_many)) from None
    headers = message.headers
    senders = [*headers.addresses("From"), *headers.addresses("InboundSender")]
    if not senders:
        raise UnreadableMailError("names no sender in From")
    recipients = (found for name in _RECIPIENTS for found in headers.addresses(name, LONGEST_RECIPIENTS))
    text, attachments = _content(message.parts)
    ids = headers.message_ids("Message-ID")
    return InboundMail(
        message_id=ids[0] if ids else f"{sha256(raw).hexdigest()}@made.invalid",
        references=_references(headers),
        sender=senders[0],
        recipients=tuple(recipients)[:_MOST_ADDRESSES],
        delivered_to=tuple(found.email for name in _ENVELOPE for found in headers.addresses(name))[:_MOST_ADDRESSES],
        subject=one_line(headers.text("Subject"), LONGEST_SUBJECT),
        text=text,
        attachments=attachments,
        automatic=_automatic(message),
        authentication=tuple(islice(headers.plain("Authentication-Results"), 10)),
    )


def _references(headers: MailHeaders) -> tuple[str, ...]:
    nearest, chain = headers.message_ids("In-Reply-To"), headers.message_ids("References")
    return tuple(dict.fromkeys([*nearest, *reversed(chain)]))[:_MOST_REFERENCES]


def _automatic(message: MessageOutline) -> str | None:
    """Why no human wrote this (RFC 3834, and what is used beside it), or None."""
    headers = message.headers
    submitted = _COMMENT.sub("", headers.first("Auto-Submitted")).partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return f"Auto-Submitted: {submitted[:40]}"
    if any(name.startswith("tocsin-") for name in headers.names()):
        return "a mail of our own"
    if "return-path" in headers.names() and not headers.addresses("Return-Path"):
        return "Return-Path: <>"
    if message.content.type in ("multipart/report", "message/delivery-status"):
        return "a report"
    precedence = headers.first("Precedence").strip().lower()
    if precedence in ("bulk", "junk", "auto_reply"):
        return f"Precedence: {precedence}"
    for name in ("X-Autoreply", "X-Autorespond", "X-Failed-Recipients"):
        if headers.first(name).strip().lower() not in ("", "none", "no"):
            return name
    if any(found.email.startswith(("mailer-daemon@", "postmaster@")) for found in headers.addresses("From")[:1]):
        return "a mail server wrote it"
    return None


def _content(parts: Iterable[MimePart]) -> tuple[str, tuple[str, ...]]:
    """The text, and the attachments by their names."""
    plain, html, attachments = [], [], []
    for part in parts:
        if part.content.disposition == "attachment" or not part.content.type.startswith("text/"):
            attachments.append(part.content.name)
        elif part.content.type == "text/html":
            html.append(part)
        else:
            plain.append(part)
    text = "\n".join(_texts(plain)) or "\n".join(map(text_of_html, _texts(html)))
    text = UNWANTED.sub("", text[: LONGEST_TEXT * 2].replace("\r\n", "\n").replace("\r", "\n")).strip()
    cut = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    return cut, tuple(attachments)


def _texts(parts: Iterable[MimePart]) -> Iterator[str]:
    """The texts of those parts that hold any, of the first _LARGEST_TEXTS bytes of them."""
    left = _LARGEST_TEXTS
    for part in parts:
        text = characters(part.content.octets(part.body[:left]), part.content.charset)
        left -= len(part.body[:left])
        if text.strip():
            yield text
