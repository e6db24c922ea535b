"""What a mail says: a notification, its reader, what was told before and now -> subject, text, html, headers. Pure.

The exact set of headers is a contract (DESIGN, "Every mail carries"); `compose` parses what it made again and refuses
to hand out anything that carries another header or another recipient.
"""

from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from email.parser import BytesHeaderParser
from email.policy import SMTP, compat32
from email.utils import format_datetime
from typing import Final
from uuid import UUID

from tocsin.events import Notify, StandDown, derived_id, render_instant

from notifier.untrusted import header_text
from notifier.wording import Letter, Reader, Told, write

_PLUMBING: Final = frozenset(
    {"from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type"}
)
# Every header as it stands on the wire; what decodes them is asked only where something is encoded.
_PARSER: Final = BytesHeaderParser(policy=compat32)
_SUBJECT: Final = 180
_HEADER: Final = 200
_ENCODED_WORD: Final = 42  # octets: 56 characters of base64, below the 75 that RFC 2047 allows a word


class UnsafeMail(Exception):
    """A composed mail that carries a header or a recipient that is not ours. Never sent."""


class UnmailableAddress(Exception):
    """An address that cannot be written in a plain ASCII message; str() says so in a server's manner."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message for one recipient. `headers` are the Tocsin ones; `raw` is what goes on the wire."""

    message_id: str
    recipient: str
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    raw: bytes
    needs_utf8: bool = False
    """True: the recipient's address is not ASCII; the server is told SMTPUTF8 with the envelope."""


def compose(
    notice: Notify | StandDown,
    reader: Reader,
    told: Sequence[Told],
    *,
    now: datetime,
    late: bool,
    sender: str,
    zone: tzinfo = UTC,
) -> Mail:
    """The mail that tells `reader` of `notice` at the business instant `now`.

    `told` is who was told before in the same ladder (for a stand-down: what this reader was mailed), oldest first.
    Instants are told in UTC and in `zone`.
    Raises UnmailableAddress for a reader whose address needs SMTPUTF8, and UnsafeMail where the message, parsed again,
    is not what was meant.
    """
    address = wire_address(reader.email)
    letter = write(notice, reader, told, now=now, late=late, zone=zone)
    headers = tocsin_headers(notice, late=late)
    identity = message_id(notice, reader.person, sender)
    raw = _serialise(letter, headers, reader.name, address, identity, now, sender)
    _assert_ours(raw, headers, address, identity)
    return Mail(identity, address, letter.subject, letter.text, letter.html, headers, raw)


def tocsin_headers(notice: Notify | StandDown, *, late: bool) -> tuple[tuple[str, str], ...]:
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
    return tuple((name, header_text(value, _HEADER)) for name, value in headers)


def wire_address(email: str) -> str:
    """The address as SMTP takes it without extensions: the domain in its ASCII form."""
    local, _, domain = email.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UnmailableAddress(f"553 the domain of {email} has no ASCII form") from error
    if not local.isascii():
        raise UnmailableAddress(f"553 the address {email} needs SMTPUTF8")
    return f"{local}@{ascii_domain}"


def message_id(notice: Notify | StandDown, person: str, sender: str) -> str:
    """The same for every attempt to tell `person` of `notice`, so that a repeated mail can be recognised."""
    return f"<{message_uuid(notice, person)}@{sender.rpartition('@')[2]}>"


def message_uuid(notice: Notify | StandDown, person: str) -> UUID:
    return derived_id(notice.ticket_id, "mail", str(notice.event_id), person)


def _serialise(
    letter: Letter,
    headers: Sequence[tuple[str, str]],
    name: str,
    address: str,
    identity: str,
    now: datetime,
    sender: str,
) -> bytes:
    # The header lines are written here: CPython 3.11 folds a long display name by dropping its quotes, and what stands
    # in it becomes an address of its own (found by hypothesis).
    head = [
        ("From", f'"Tocsin" <{sender}>'),
        ("To", f"{_phrase(header_text(name, 80))} <{address}>"),
        ("Subject", _unstructured(header_text(letter.subject, _SUBJECT))),
        ("Date", format_datetime(now)),
        ("Message-ID", identity),
        ("Auto-Submitted", "auto-generated"),
        *((name, _unstructured(value)) for name, value in headers),
    ]
    # No quoted-printable text holds "=_", so none can end its part.
    boundary = f"=_{identity[1:37]}"
    head += [("MIME-Version", "1.0"), ("Content-Type", f'multipart/alternative; boundary="{boundary}"')]
    lines = "".join(f"{name}: {value}\r\n" for name, value in head)
    parts = "".join(
        f"--{boundary}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{_quoted_printable(text)}\r\n"
        for subtype, text in (("plain", letter.text), ("html", letter.html))
    )
    return f"{lines}\r\n{parts}--{boundary}--\r\n".encode("ascii")


def _quoted_printable(text: str) -> str:
    return b2a_qp(text.encode()).decode("ascii").replace("\n", "\r\n")


def _unstructured(value: str) -> str:
    """`value` as it is, or, where it is not plain ASCII, in encoded words of RFC 2047, one a line."""
    if value.isascii():
        return value
    words, word = [], b""
    for character in value:
        octets = character.encode()
        if len(word) + len(octets) > _ENCODED_WORD:
            words.append(word)
            word = b""
        word += octets
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in [*words, word])


def _phrase(name: str) -> str:
    if not name.isascii():
        return _unstructured(name)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _assert_ours(raw: bytes, headers: Sequence[tuple[str, str]], recipient: str, identity: str) -> None:
    parsed = _PARSER.parsebytes(raw)
    found = sorted(name.lower() for name in parsed)
    wanted = sorted([*_PLUMBING, *(name.lower() for name, _ in headers)])
    if found != wanted:
        raise UnsafeMail(f"headers {sorted(set(found) ^ set(wanted)) or 'doubled'} are not ours")
    for name, value in [*headers, ("Message-ID", identity)]:
        read = str(parsed[name])
        if "=?" in read:
            read = str(SMTP.header_fetch_parse(name, read))
        if read != value:
            raise UnsafeMail(f"{name} reads {read[:80]!r} after parsing")
    addresses = [address.addr_spec for address in SMTP.header_fetch_parse("To", str(parsed["To"])).addresses]
    if addresses != [recipient]:
        raise UnsafeMail(f"the message is addressed to {addresses!r}")
