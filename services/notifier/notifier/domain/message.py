"""The message that brings a rendered mail to its reader: recipient, Message-ID, headers (docs/mail.md#headers). Pure.

The exact set of headers is a contract. The message is parsed again, and one that carries any other header or recipient
is never handed out.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from tocsin.email_address import with_ascii_domain
from tocsin.events import Exhausted, Notify, derived_id
from tocsin.instants import render_instant

from notifier.domain.delivery import Notification, mail_kind
from notifier.domain.mime import Header, serialise
from notifier.domain.rendering import RenderedMail
from notifier.domain.sanitize import header_text
from notifier.domain.template_context import Reader, Redelivery
from notifier.errors import UnmailableAddressError

_HEADER: Final = 200
_NAME: Final = 80
_REFERENCES: Final = 900  # a line of a message holds 998 bytes
_FILETIME: Final = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MailSender:
    """The address that mails come from, and where replies go (None: the same)."""

    address: str
    reply_to: str | None = None

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for one recipient. `headers` are the Tocsin ones; `raw` is sent to the mail server."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str
    headers: tuple[Header, ...]
    raw: bytes


def build_message(
    notification: Notification,
    reader: Reader,
    rendered: RenderedMail,
    sender: MailSender,
    *,
    late: bool,
    references: Sequence[str] = (),
    redelivery: Redelivery | None = None,
) -> Mail:
    """The message for `reader`. `references`: the Message-IDs of their earlier mails in this cycle, oldest first.

    Raises UnmailableAddressError if no server could accept the address, and UnsafeMailError if the message, parsed
    again, is not what was intended.
    """
    address = smtp_address(reader.email)
    own_id = message_id(notification, reader.person, sender, redelivery)
    tocsin = tocsin_headers(notification, late=late, redelivery=redelivery)
    is_reply = mail_kind(notification) == "rerouted"
    earlier = [reference for reference in references if reference != own_id]
    headers = [
        ("Subject", rendered.subject),
        ("Date", format_datetime(redelivery.at if redelivery else notification.at)),
        ("Message-ID", own_id),
        *thread_headers(notification, rendered.subject, sender, earlier),
        *([("Reply-To", f"<{sender.reply_to}>")] if sender.reply_to else []),
        ("Auto-Submitted", "auto-replied" if is_reply else "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        *([("Importance", "high")] if notification.severity == 1 and not is_reply else []),
        *tocsin,
    ]
    name = header_text(reader.role_title if reader.is_group else reader.name, _NAME)
    raw = serialise(
        headers,
        sender=(rendered.sender, sender.address),
        to=(name, address),
        text=rendered.text,
        html=rendered.html,
        boundary=own_id[38:74],
    )
    return Mail(
        message_id=own_id,
        recipient=address,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        headers=tocsin,
        raw=raw,
    )


def tocsin_headers(
    notification: Notification, *, late: bool, redelivery: Redelivery | None = None
) -> tuple[Header, ...]:
    """The headers for filters and audits, in their documented order, with sanitised values."""
    headers = [
        ("Tocsin-Kind", mail_kind(notification)),
        ("Tocsin-Ticket", str(notification.ticket_id)),
        ("Tocsin-External-Id", notification.ticket.external_id),
        ("Tocsin-Severity", str(notification.severity)),
        ("Tocsin-Cycle", str(notification.cycle)),
        ("Tocsin-Scheduled-At", render_instant(notification.at)),
    ]
    if isinstance(notification, Notify) and notification.kind == "escalation":
        headers += [
            ("Tocsin-Run", str(notification.run)),
            ("Tocsin-Step", str(notification.step)),
            ("Tocsin-Tier", str(notification.tier.number if notification.tier else "")),
            ("Tocsin-Reason", str(notification.reason)),
        ]
    elif not isinstance(notification, Exhausted) and notification.clock is not None:
        headers.append(("Tocsin-Clock", notification.clock))
    elif notification.run is not None:
        headers.append(("Tocsin-Run", str(notification.run)))
    if late:
        headers.append(("Tocsin-Late", "yes"))
    if redelivery is not None:
        headers.append(("Tocsin-Redelivery", str(redelivery.number)))
    return tuple((name, header_text(value, _HEADER)) for name, value in headers)


def thread_headers(
    notification: Notification, subject: str, sender: MailSender, references: Sequence[str]
) -> Sequence[Header]:
    """The headers by which mail programs show a ticket's cycle as one conversation (docs/decisions/0017).

    The root of the conversation is an id that no mail has: each reader gets only some of the mails, so none of them
    could be the root for all. Gmail goes by References and an equal subject, Apple Mail by References, Outlook by
    Thread-Index and Thread-Topic. Gmail joins a mail to a root it never saw only within a week, so the reader's own
    earlier mails follow the root.
    """
    thread = derived_id(notification.ticket_id, "conversation", cycle=notification.cycle)
    root = f"<{notification.ticket_id}.{thread}@{sender.domain}>"
    ids = _within(_REFERENCES, [root, *references])
    # MS-OXOMSG 2.2.1.3: a reserved byte, the five highest of a FILETIME (the opening, equal in all mails), a GUID.
    opened = max(0, (notification.ticket.opened_at - _FILETIME) // timedelta(microseconds=1) * 10)
    index = b"\x01" + opened.to_bytes(8, "big")[:5] + thread.bytes
    return [
        ("In-Reply-To", ids[-1]),
        ("References", " ".join(ids)),
        ("Thread-Topic", subject),
        ("Thread-Index", b64encode(index).decode("ascii")),
    ]


def _within(limit: int, ids: Sequence[str]) -> Sequence[str]:
    """The first id, and the last ones that fit beside it into `limit` bytes."""
    first, *later = ids
    while sum(len(id_) + 1 for id_ in [first, *later]) > limit and later:
        later = later[1:]
    return [first, *later]


@lru_cache(1000)
def smtp_address(email: str) -> str:
    """The address with its domain in ASCII form, as SMTP needs it; the part before it may need SMTPUTF8.

    Raises UnmailableAddressError.
    """
    try:
        return with_ascii_domain(email)
    except ValueError as error:
        raise UnmailableAddressError(f"553 the domain of {email} is invalid: {error}") from error


def message_id(
    notification: Notification, person: str, sender: MailSender, redelivery: Redelivery | None = None
) -> str:
    """The Message-ID: the same for every attempt, so that a repeat is recognised; another one for each redelivery.

    Like the root it begins with the ticket's id: intake reads there which ticket a reply is about.
    """
    repeat: dict[str, str | int] = {"repeat": "redelivery", "number": redelivery.number} if redelivery else {}
    unique = derived_id(notification.ticket_id, "mail", notification=notification.event_id, person=person, **repeat)
    return f"<{notification.ticket_id}.{unique}@{sender.domain}>"
