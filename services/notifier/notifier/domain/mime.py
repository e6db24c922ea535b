"""A message as it goes on the wire: written header by header, parsed again, compared with what was meant. Pure."""

from base64 import b64encode
from binascii import b2a_qp
from collections import Counter
from collections.abc import Mapping, Sequence
from email.parser import HeaderParser
from email.policy import SMTP, compat32
from functools import lru_cache
from typing import Final

Header = tuple[str, str]
"""A field's name, and its value as text."""
Address = tuple[str, str]
"""A name, and the address itself."""

# Every header as it stands on the wire; what decodes them is asked only where something is encoded.
_PARSER: Final = HeaderParser(policy=compat32)
_ENCODED_WORD: Final = 42  # octets: 56 characters of base64, below the 75 that RFC 2047 allows a word
_WRITTEN_HERE: Final = ("From", "To", "MIME-Version", "Content-Type")


class UnsafeMail(Exception):
    """A composed mail that carries a header or a recipient that is not ours. Never sent."""


def serialise(sender: Address, to: Address, headers: Sequence[Header], text: str, html: str, *, boundary: str) -> bytes:
    """The message in exactly these headers, whose values are harmless, and the ones of addresses and MIME.

    Plain ASCII, but for a recipient's address that is not: it stands in UTF-8 (RFC 6532). Raises UnsafeMail where the
    message, parsed again, has another header, another value, another sender or another recipient.
    """
    # The header lines are written here: CPython 3.11 folds a long display name by dropping its quotes, and what stands
    # in it becomes an address of its own (found by hypothesis).
    head = [
        *((field, f"{_phrase(name)} <{address}>") for field, (name, address) in (("From", sender), ("To", to))),
        *((name, _unstructured(value)) for name, value in headers),
        # No quoted-printable text holds "=_", so none can end its part.
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
    _assert_ours(raw, {"From": sender[1], "To": to[1]}, headers)
    return raw


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
    """The name before an address: quoted, or in encoded words."""
    if not name.isascii():
        return _unstructured(name)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quoted_printable(text: str) -> str:
    return b2a_qp(text.encode()).decode("ascii").replace("\n", "\r\n")


def _assert_ours(raw: bytes, addresses: Mapping[str, str], headers: Sequence[Header]) -> None:
    # A blank line of somebody else's would end the head before our last headers: they would be missed.
    parsed = _PARSER.parsestr(raw.partition(b"\r\n\r\n")[0].decode())
    found = Counter(name.lower() for name in parsed)
    wanted = Counter(name.lower() for name in [*(name for name, _ in headers), *_WRITTEN_HERE])
    if found != wanted:
        raise UnsafeMail(f"headers {sorted(set(found) ^ set(wanted)) or 'doubled'} are not ours")
    for name, value in headers:
        read = str(parsed[name])
        if "=?" in read:
            read = str(SMTP.header_fetch_parse(name, read))
        if read != value:
            raise UnsafeMail(f"{name} reads {read[:80]!r} after parsing")
    for name, address in addresses.items():
        if (read_addresses := _addresses(name, str(parsed[name]))) != (address,):
            raise UnsafeMail(f"{name} reads {read_addresses!r} after parsing")


@lru_cache(1000)
def _addresses(name: str, value: str) -> tuple[str, ...]:
    return tuple(found.addr_spec for found in SMTP.header_fetch_parse(name, value).addresses)
