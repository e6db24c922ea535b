"""A message in bytes: written header by header, parsed again, and compared with what was intended. Pure."""

import re
from base64 import b64encode, encodebytes
from binascii import b2a_qp
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.policy import SMTP
from functools import lru_cache
from typing import Final

from notifier.errors import UnsafeMailError

Header = tuple[str, str]
"""A field's name, and its value as text."""
Mailbox = tuple[str, str]
"""A display name, and the address."""

_ENCODED_WORD: Final = 42  # bytes: 56 characters of base64, below the 75 that RFC 2047 allows a word
_REPEATED: Final = "Tocsin-Ticket"
"""The only header that may occur more than once: a digest has one for each ticket."""
_AT_THE_END: Final = ("MIME-Version", "Content-Type")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Also what splits lines for some parsers, though not by RFC 5322."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A page of HTML beside the text of a mail. `file_name` has ASCII letters, digits, `.`, `-` and `_` only."""

    file_name: str
    html: str


def serialise(
    headers: Sequence[Header],
    *,
    sender: Mailbox,
    to: Mailbox,
    text: str,
    html: str,
    boundary: str,
    attachment: Attachment | None = None,
) -> bytes:
    """The message with exactly these headers, whose values are sanitised, and those of addresses and MIME.

    Plain ASCII, except that a non-ASCII recipient is written in UTF-8 (RFC 6532). Raises UnsafeMailError if the
    message, parsed again, has another header, value, sender or recipient.
    """
    # Not by EmailMessage: CPython 3.11 folds a long display name by dropping its quotes, and text in it becomes an
    # address (found by hypothesis).
    content_type, body = _alternatives(text, html, boundary)
    if attachment is not None:
        content_type, body = _with_attachment(content_type, body, attachment, boundary)
    head = [
        *((field, f"{_phrase(name)} <{address}>") for field, (name, address) in (("From", sender), ("To", to))),
        *((name, _unstructured(value)) for name, value in headers),
        *(("MIME-Version", "1.0"), ("Content-Type", content_type)),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in head)
    raw = f"{lines}\r\n{body}".encode()
    # Others decode it, and the standard library may loop for ever.
    if foreign := [value for value in (sender[0], to[0], *(value for _, value in headers)) if "=?" in value]:
        raise UnsafeMailError(f"an encoded word in {foreign[0][:80]!r}")
    _verify(raw, {"From": sender[1], "To": to[1]}, headers)
    return raw


def _alternatives(text: str, html: str, boundary: str) -> tuple[str, str]:
    """The content type and the body of both forms of the text."""
    # Quoted-printable text never contains "=_", so it cannot end its part.
    parts = "".join(
        f"--=_{boundary}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{_quoted_printable(part)}\r\n"
        for subtype, part in (("plain", text), ("html", html))
    )
    return f'multipart/alternative; boundary="=_{boundary}"', f"{parts}--=_{boundary}--\r\n"


def _with_attachment(content_type: str, body: str, attachment: Attachment, boundary: str) -> tuple[str, str]:
    """The content type and the body of a message that consists of `body` and an attachment.

    Raises UnsafeMailError if the file name could be read as anything else.
    """
    if not _FILE_NAME.fullmatch(attachment.file_name):
        raise UnsafeMailError(f"{attachment.file_name[:80]!r} is not a file name")
    # Neither boundary is the beginning of the other, which RFC 2046 would read as a match.
    outer = f"=_with.{boundary}"
    page = encodebytes(attachment.html.encode()).decode("ascii").replace("\n", "\r\n")
    parts = (
        f"--{outer}\r\nContent-Type: {content_type}\r\n\r\n{body}"
        f'--{outer}\r\nContent-Type: text/html; charset="utf-8"\r\n'
        f'Content-Disposition: attachment; filename="{attachment.file_name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{page}--{outer}--\r\n"
    )
    return f'multipart/mixed; boundary="{outer}"', parts


def _unstructured(value: str) -> str:
    """`value` as it is, or, if it is not plain ASCII, as encoded words (RFC 2047), one a line."""
    if value.isascii():
        return value
    words, word = [], b""
    for character in value:
        encoded = character.encode()
        if len(word) + len(encoded) > _ENCODED_WORD:
            words.append(word)
            word = b""
        word += encoded
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in [*words, word])


def _phrase(name: str) -> str:
    """The name before an address: quoted, or as encoded words."""
    if not name.isascii():
        return _unstructured(name)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted_printable(text: str) -> str:
    return b2a_qp(text.encode()).decode("ascii").replace("\n", "\r\n")


def _verify(raw: bytes, addresses: Mapping[str, str], headers: Sequence[Header]) -> None:
    read = _parse_head(raw)
    wanted = [*addresses, *(name for name, _ in headers), *_AT_THE_END]
    if [name for name, _ in read] != wanted:
        differing = sorted({name for name, _ in read} ^ set(wanted))
        raise UnsafeMailError(f"unexpected or missing headers: {differing or 'duplicates'}")
    if repeated := [name for name, count in Counter(wanted).items() if count > 1 and name != _REPEATED]:
        raise UnsafeMailError(f"{repeated[0]} is repeated")
    for (name, value), address in zip(read, addresses.values(), strict=False):
        if (read_addresses := _addresses(name, value)) != (address,):
            raise UnsafeMailError(f"{name} reads {read_addresses!r} after parsing")
    for (name, value), (_, intended) in zip(read[len(addresses) :], headers, strict=False):
        if (text := _read(name, value)) != intended:
            raise UnsafeMailError(f"{name} reads {text[:80]!r} after parsing")


def _parse_head(raw: bytes) -> list[Header]:
    """The headers in their order, as written: only encoded words continue on further lines.

    Raises UnsafeMailError for anything else that some program could read as another header.
    """
    headers: list[Header] = []
    # An injected blank line would end the head before our last headers, which are then missing.
    for line in raw.partition(b"\r\n\r\n")[0].decode().split("\r\n"):
        if _CONTROL.search(line):
            raise UnsafeMailError(f"a control character in {line[:80]!r}")
        name, separator, value = line.partition(": ")
        if line.startswith(" =?") and headers:
            headers[-1] = (headers[-1][0], f"{headers[-1][1]}\r\n{line}")
        elif separator and _NAME.fullmatch(name):
            headers.append((name, value))
        else:
            raise UnsafeMailError(f"{line[:80]!r} is not a header")
    return headers


def _read(name: str, value: str) -> str:
    return str(SMTP.header_fetch_parse(name, value)) if "=?" in value else value


@lru_cache(1000)
def _addresses(name: str, value: str) -> tuple[str, ...]:
    return tuple(found.addr_spec for found in SMTP.header_fetch_parse(name, value).addresses)
