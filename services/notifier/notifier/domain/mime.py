"""A message in bytes: written header by header, parsed again, and compared with what was intended. Pure."""

from base64 import b64encode
from binascii import b2a_qp
from collections import Counter
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
from email.policy import SMTP, compat32
from functools import lru_cache
from typing import Final

from notifier.errors import UnsafeMailError

Header = tuple[str, str]
"""A field's name, and its value as text."""
Mailbox = tuple[str, str]
"""A display name, and the address."""

# It leaves every header as it was written; the decoding parser is used only for encoded values.
_PARSER: Final = HeaderParser(policy=compat32)
_ENCODED_WORD: Final = 42  # bytes: 56 characters of base64, below the 75 that RFC 2047 allows a word
_REPEATED: Final = "Tocsin-Ticket"
"""The only header that may occur more than once: a digest has one for each ticket."""
_WRITTEN_HERE: Final = ("From", "To", "MIME-Version", "Content-Type")


def serialise(headers: Sequence[Header], *, sender: Mailbox, to: Mailbox, text: str, html: str, boundary: str) -> bytes:
    """The message with exactly these headers, whose values are sanitised, and those of addresses and MIME.

    Plain ASCII, except that a non-ASCII recipient is written in UTF-8 (RFC 6532). Raises UnsafeMailError if the
    message, parsed again, has another header, value, sender or recipient.
    """
    # Not by EmailMessage: CPython 3.11 folds a long display name by dropping its quotes, and text in it becomes an
    # address (found by hypothesis).
    head = [
        *((field, f"{_phrase(name)} <{address}>") for field, (name, address) in (("From", sender), ("To", to))),
        *((name, _unstructured(value)) for name, value in headers),
        # Quoted-printable text never contains "=_", so it cannot end its part.
        *(("MIME-Version", "1.0"), ("Content-Type", f'multipart/alternative; boundary="=_{boundary}"')),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in head)
    parts = "".join(
        f"--=_{boundary}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{_quoted_printable(part)}\r\n"
        for subtype, part in (("plain", text), ("html", html))
    )
    raw = f"{lines}\r\n{parts}--=_{boundary}--\r\n".encode()
    _verify(raw, {"From": sender[1], "To": to[1]}, headers)
    return raw


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
    # An injected blank line would end the head before our last headers, which are then missing.
    parsed = _PARSER.parsestr(raw.partition(b"\r\n\r\n")[0].decode())
    found = Counter(name.lower() for name in parsed)
    wanted = Counter(name.lower() for name in [*(name for name, _ in headers), *_WRITTEN_HERE])
    if found != wanted:
        raise UnsafeMailError(f"unexpected or missing headers: {sorted(set(found) ^ set(wanted)) or 'duplicates'}")
    for name, values in _by_name(headers).items():
        read = [_read(name, str(value)) for value in parsed.get_all(name, [])]
        if read != values or (len(values) > 1 and name != _REPEATED):
            raise UnsafeMailError(f"{name} reads {read[0][:80]!r} after parsing")
    for name, address in addresses.items():
        if (read_addresses := _addresses(name, str(parsed[name]))) != (address,):
            raise UnsafeMailError(f"{name} reads {read_addresses!r} after parsing")


def _by_name(headers: Sequence[Header]) -> Mapping[str, list[str]]:
    """The values of each field, in their order."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return values


def _read(name: str, value: str) -> str:
    return str(SMTP.header_fetch_parse(name, value)) if "=?" in value else value


@lru_cache(1000)
def _addresses(name: str, value: str) -> tuple[str, ...]:
    return tuple(found.addr_spec for found in SMTP.header_fetch_parse(name, value).addresses)
