"""The headers of a mail as text, whatever bytes they are made of. Pure."""

import codecs
import re
from binascii import Error as BinasciiError
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import getaddresses
from typing import Final

UNWANTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""Control characters and what no text may hold."""

_LONGEST_HEADER: Final = 20_000
_LONGEST_PARAMETERS: Final = 4_000
LONGEST_NAME: Final = 200
_LONGEST_ADDRESS: Final = 254  # RFC 5321
_ADDRESS: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\]{1,189}")
_FOLDED: Final = re.compile(r"\r?\n[ \t]|[\r\n]")
# Codecs that are no character sets of mails: slow, lossy, or with warnings of their own.
_NO_CHARSETS: Final = frozenset({"unicode_escape", "raw-unicode-escape", "raw_unicode_escape", "idna", "punycode"})


class ShortHeaders(Compat32):
    """The standard library's reading, of headers that are cut: it takes minutes over some of a megabyte."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[: _LONGEST_PARAMETERS if name.lower().startswith("content-") else _LONGEST_HEADER]


READING: Final = ShortHeaders()


@dataclass(frozen=True, slots=True)
class Address:
    """`email` is in lower case; `name` is empty where none was written."""

    name: str
    email: str

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


class Headers:
    """Headers as text, whatever bytes they are made of."""

    def __init__(self, message: Message) -> None:
        self._found: dict[str, list[str]] = {}
        for name, value in message.raw_items():
            self._found.setdefault(name.lower(), []).append(str(value))

    def texts(self, name: str) -> Iterator[str]:
        for raw in self._found.get(name.lower(), ()):
            yield decoded(_FOLDED.sub(" ", raw))

    def text(self, name: str) -> str:
        """The first header of that name, decoded; empty where there is none."""
        return next(self.texts(name), "")

    def addresses(self, name: str) -> list[Address]:
        """The addresses in all headers of that name, those that are none left out."""
        raw = [_FOLDED.sub(" ", value) for value in self._found.get(name.lower(), ())]
        found = []
        for display, email in getaddresses([_bare(value) for value in raw]):
            email = email.strip().lower()
            if _ADDRESS.fullmatch(email) and len(email) <= _LONGEST_ADDRESS and not UNWANTED.search(email):
                found.append(Address(one_line(decoded(display), LONGEST_NAME), email))
        return found


def _bare(raw: str) -> str:
    """A header whose bare 8-bit, which stands as surrogates in it, is read as UTF-8 or else as Latin-1."""
    octets = raw.encode("utf-8", "surrogateescape")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def decoded(raw: str) -> str:
    """A header's text, its encoded words (RFC 2047) read."""
    text = _bare(raw)
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
    line = " ".join(UNWANTED.sub(" ", text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
