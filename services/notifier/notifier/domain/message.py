"""What a message is made of: a letter, its recipient, its headers. Pure.

The exact set of headers is a contract (DESIGN, "Every mail carries"; docs/mail.md tells what each is for); what was
made is parsed again, and nothing is handed out that carries another header or another recipient.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final
from uuid import UUID

from email_validator import EmailNotValidError
from email_validator.syntax import validate_email_domain_name
from tocsin.events import Notify, StandDown, derived_id
from tocsin.instants import render_instant

from notifier.domain.mime import Header, serialise
from notifier.domain.rendering import Letter
from notifier.domain.sanitize import header_text
from notifier.domain.template_context import Reader, Redelivery

_HEADER: Final = 200
_NAME: Final = 80
_REFERENCES: Final = 900  # a line of a message holds 998 octets
_FILETIME: Final = datetime(1601, 1, 1, tzinfo=UTC)


class UnmailableAddress(Exception):
    """An address that no mail server can be given; str() says so in a server's manner."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom mails are from: the address, and where replies go (None: there too)."""

    address: str
    reply_to: str | None = None

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for one recipient. `headers` are the Tocsin ones; `raw` is what goes on the wire."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str
    headers: tuple[Header, ...]
    raw: bytes


def compose(
    notice: Notify | StandDown,
    reader: Reader,
    letter: Letter,
    sender: Sender,
    *,
    late: bool,
    before: Sequence[str] = (),
    redelivery: Redelivery | None = None,
) -> Mail:
    """The message that brings `reader` the letter about `notice`.

    `before` are the Message-IDs of what `reader` was mailed earlier in the ticket's cycle, oldest first.

    Raises UnmailableAddress where the reader's address cannot be written for any server, and UnsafeMail where the
    message, parsed again, is not what was meant.
    """
    address = wire_address(reader.email)
    identity = message_id(notice, reader.person, sender, redelivery)
    own = tocsin_headers(notice, late=late, redelivery=redelivery)
    headers = [
        ("Subject", letter.subject),
        ("Date", format_datetime(redelivery.at if redelivery else notice.at)),
        ("Message-ID", identity),
        *conversation(notice, letter.subject, sender, [earlier for earlier in before if earlier != identity]),
        *([("Reply-To", f"<{sender.reply_to}>")] if sender.reply_to else []),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        *([("Importance", "high")] if notice.severity == 1 else []),
        *own,
    ]
    name = header_text(reader.role_title if reader.of_group else reader.name, _NAME)
    raw = serialise(
        (letter.sender, sender.address), (name, address), headers, letter.text, letter.html, boundary=identity[38:74]
    )
    return Mail(identity, address, letter.subject, letter.text, letter.html, own, raw)


def tocsin_headers(
    notice: Notify | StandDown, *, late: bool, redelivery: Redelivery | None = None
) -> tuple[Header, ...]:
    """The headers of DESIGN's "Every mail carries", in that order, values already harmless."""
    headers = [
        ("Tocsin-Kind", notice.kind if isinstance(notice, Notify) else "stand_down"),
        ("Tocsin-Ticket", str(notice.ticket_id)),
        ("Tocsin-External-Id", notice.ticket.external_id),
        ("Tocsin-Severity", str(notice.severity)),
        ("Tocsin-Cycle", str(notice.cycle)),
        ("Tocsin-Scheduled-At", render_instant(notice.at)),
    ]
    if isinstance(notice, Notify) and notice.kind == "escalation":
        headers += [
            ("Tocsin-Run", str(notice.run)),
            ("Tocsin-Step", str(notice.step)),
            ("Tocsin-Tier", str(notice.tier.number if notice.tier else "")),
            ("Tocsin-Reason", str(notice.reason)),
        ]
    elif notice.clock is not None:
        headers.append(("Tocsin-Clock", notice.clock))
    elif notice.run is not None:
        headers.append(("Tocsin-Run", str(notice.run)))
    if late:
        headers.append(("Tocsin-Late", "yes"))
    if redelivery is not None:
        headers.append(("Tocsin-Redelivery", str(redelivery.number)))
    return tuple((name, header_text(value, _HEADER)) for name, value in headers)


def conversation(notice: Notify | StandDown, subject: str, sender: Sender, before: Sequence[str]) -> Sequence[Header]:
    """What makes mail programs show a ticket's cycle as one conversation: a root that nobody was ever sent.

    Each reader gets only some of the mails, so none of them could be the root for all. Gmail goes by References and an
    equal subject, Apple Mail by References, Outlook by Thread-Index and Thread-Topic (docs/decisions/0017). To a root
    that it never saw Gmail joins a mail within a week of the one before: `before` is what this reader did see.
    """
    thread = derived_id(notice.ticket_id, "conversation", notice.cycle)
    root = f"<{notice.ticket_id}.{thread}@{sender.domain}>"
    references = _within(_REFERENCES, [root, *before])
    # MS-OXOMSG 2.2.1.3: a reserved octet, the five highest of a FILETIME (the opening: the same in every mail), a GUID.
    opened = max(0, (notice.ticket.opened_at - _FILETIME) // timedelta(microseconds=1) * 10)
    index = b"\x01" + opened.to_bytes(8, "big")[:5] + thread.bytes
    return [
        ("In-Reply-To", references[-1]),
        ("References", " ".join(references)),
        ("Thread-Topic", subject),
        ("Thread-Index", b64encode(index).decode("ascii")),
    ]


def _within(limit: int, identities: Sequence[str]) -> Sequence[str]:
    """The first, and as many of the last as fit into so many octets with it."""
    first, *later = identities
    while sum(len(identity) + 1 for identity in [first, *later]) > limit and later:
        later = later[1:]
    return [first, *later]


def wire_address(email: str) -> str:
    """The address as SMTP takes it: the domain in its ASCII form. A server takes UTF-8 before it by SMTPUTF8.

    Raises UnmailableAddress.
    """
    local, _, domain = email.rpartition("@")
    try:
        ascii_domain = validate_email_domain_name(domain)["ascii_domain"]
    except EmailNotValidError as error:
        raise UnmailableAddress(f"553 the domain of {email} cannot be: {error}") from error
    return f"{local}@{ascii_domain}"


def message_id(notice: Notify | StandDown, person: str, sender: Sender, redelivery: Redelivery | None = None) -> str:
    """The same for every attempt to tell `person` of `notice`, so that a repeated mail can be recognised.

    A redelivery is meant to be seen again, and has one of its own. It begins with the ticket's id, as does the root:
    intake reads there which ticket an answer is about.
    """
    return f"<{notice.ticket_id}.{_message_uuid(notice, person, redelivery)}@{sender.domain}>"


def _message_uuid(notice: Notify | StandDown, person: str, redelivery: Redelivery | None) -> UUID:
    again = ("redelivery", redelivery.number) if redelivery else ()
    return derived_id(notice.ticket_id, "mail", str(notice.event_id), person, *again)
