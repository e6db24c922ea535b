"""A mail (RFC 5322), read into the fields that intake needs. Pure.

Mails come from strangers: broken, mislabelled, nested or huge. Headers and texts are read as far as possible, and bytes
that cannot be decoded are replaced. Only a mail without a sender, or beyond the limits for headers, is unreadable.
Every text is truncated before it is read in more than one pass.
"""

from base64 import b32encode
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Final

from tocsin.characters import one_line
from tocsin.mail import (
    MAX_NAME_LENGTH,
    MAX_RECIPIENTS_LENGTH,
    EmailAddress,
    MailHeaders,
    UnreadableMailError,
    read_outline,
)

from intake.domain.mail.automatic import AutomaticSign, automatic_sign
from intake.domain.mail.content import read_content
from intake.domain.mail.copies import ContentDigests, digest_content
from intake.domain.mail.origin import MailOrigin, read_origin
from intake.domain.mail.own_text import own_text

MAX_MAIL_BYTES: Final = 10_000_000
"""The largest mail that intake accepts."""

MAX_SUBJECT_LENGTH: Final = 300
_MAX_REFERENCES: Final = 50
_MAX_ADDRESSES: Final = 200
_RECIPIENTS: Final = ("To", "Cc")
_ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")


@dataclass(frozen=True, slots=True)
class InboundMail:
    """A mail. Message-IDs are without their angle brackets.

    `message_id` is derived from the content if the sender gave none. `references` are the Message-IDs that it replies
    to, the nearest first. `sender` is the address in From; `origin` says who else may have written the mail.
    `recipients` are To and Cc, `delivered_to` the envelope recipients that mail servers added. `text` is plain text of
    at most MAX_TEXT_LENGTH characters. `attachments` are the names of the attachments, which are ignored otherwise.
    `automatic` says by which sign a machine wrote the mail; None: a human did. `authentication` are the
    Authentication-Results headers. `digests` tell copies of the mail from other mails with its Message-ID.
    """

    message_id: str
    references: tuple[str, ...]
    sender: EmailAddress
    origin: MailOrigin
    recipients: tuple[EmailAddress, ...]
    delivered_to: tuple[str, ...]
    subject: str
    text: str
    attachments: tuple[str, ...]
    automatic: AutomaticSign | None
    authentication: tuple[str, ...]
    digests: ContentDigests

    @property
    def reference(self) -> str:
        """The short id of the mail for people: `MAIL-` and 12 letters and digits."""
        return reference_of(self.message_id)


def reference_of(message_id: str) -> str:
    """The short id of the mail with that Message-ID; it never changes."""
    return "MAIL-" + b32encode(sha256(message_id.encode(errors="replace")).digest())[:12].decode()


def read_mail(raw: bytes) -> InboundMail:
    """The mail in these bytes. Raises UnreadableMailError."""
    message = read_outline(raw)
    headers = message.headers
    senders = [*headers.addresses("From"), *headers.addresses("Sender")]
    if not senders:
        stated = one_line(headers.text("From"), MAX_NAME_LENGTH)
        raise UnreadableMailError(f"has no sender that can be read in From: {stated or '(empty)'}")
    recipients = (found for name in _RECIPIENTS for found in headers.addresses(name, MAX_RECIPIENTS_LENGTH))
    content = read_content(message)
    subject = one_line(headers.text("Subject"), MAX_SUBJECT_LENGTH)
    origin = read_origin(headers)
    ids = headers.message_ids("Message-ID")
    return InboundMail(
        message_id=ids[0] if ids else f"{sha256(raw).hexdigest()}@made.invalid",
        references=_references(headers),
        sender=senders[0],
        origin=origin,
        recipients=tuple(recipients)[:_MAX_ADDRESSES],
        delivered_to=tuple(found.email for name in _ENVELOPE for found in headers.addresses(name))[:_MAX_ADDRESSES],
        subject=subject,
        text=content.text,
        attachments=content.attachments,
        automatic=automatic_sign(message, own_text(content.text)),
        authentication=tuple(islice(headers.plain("Authentication-Results"), 10)),
        digests=digest_content(subject, content.text, content.attachments, origin, headers.first("Date")),
    )


def _references(headers: MailHeaders) -> tuple[str, ...]:
    nearest, chain = headers.message_ids("In-Reply-To"), headers.message_ids("References")
    return tuple(dict.fromkeys([*nearest, *reversed(chain)]))[:_MAX_REFERENCES]
