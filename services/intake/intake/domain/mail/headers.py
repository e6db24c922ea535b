"""The headers of a mail as text, whatever bytes they are made of. Pure."""

import encodings
import re
from binascii import Error as BinasciiError
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import getaddresses
from encodings import normalize_encoding
from encodings.aliases import aliases
from pkgutil import iter_modules
from typing import Final

UNWANTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""Control characters and what no text may hold."""

# The standard library takes time in the square of what is longer.
_LONGEST_HEADER: Final = 4_000
LONGEST_RECIPIENTS: Final = 8_000
LONGEST_NAME: Final = 200
_LONGEST_CHARSET: Final = 40
_LONGEST_ADDRESS: Final = 254  # RFC 5321
_ADDRESS: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\]{1,189}")
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,990})>")
# Codecs that are no character sets of mails: slow, lossy, or with warnings of their own.
_NO_CHARSETS: Final = frozenset({"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"})
# Any other name is looked for among the files of the standard library, each time and slowly, and remembered for ever.
_CHARSETS: Final = {*aliases, *aliases.values(), *(module.name for module in iter_modules(encodings.__path__))}


@dataclass(frozen=True, slots=True)
class Address:
    """`email` is in lower case; `name` is empty where none was written."""

    name: str
    email: str

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


class MailHeaders:
    """Headers as text, whatever bytes they are made of, and of which no more is read than takes no time."""

    def __init__(self, found: Iterable[tuple[bytes, bytes]]) -> None:
        self._found: dict[str, list[str]] = {}
        for name, value in found:
            text = value.strip(b" \t").decode("ascii", "surrogateescape")
            self._found.setdefault(name.decode("ascii").lower(), []).append(text)

    def names(self) -> Collection[str]:
        """Those that there are, in lower case."""
        return self._found.keys()

    def plain(self, name: str) -> Iterator[str]:
        """The headers of that name, in their order, nothing in them decoded."""
        return (_bare(raw[:_LONGEST_HEADER].replace("\n", " ")) for raw in self._found.get(name.lower(), ()))

    def first(self, name: str) -> str:
        """The first header of that name, nothing in it decoded; empty where there is none."""
        return next(self.plain(name), "")

    def text(self, name: str) -> str:
        """The first header of that name, decoded; empty where there is none."""
        return decoded(self.first(name))

    def message_ids(self, name: str) -> list[str]:
        """The ids in the first header of that name, without their angle brackets."""
        return _MESSAGE_ID.findall(_bare(next(iter(self._found.get(name.lower(), ())), "")))

    def addresses(self, name: str, longest: int = _LONGEST_HEADER) -> list[Address]:
        """The addresses in all headers of that name, in their first `longest` characters; what is none is left out."""
        raw = ", ".join(self._found.get(name.lower(), ())).replace("\n", " ")
        if len(raw) > longest:
            raw = raw[:longest].rpartition(",")[0]
        try:
            pairs = getaddresses([_bare(raw)])
        except RecursionError:  # groups or comments, hundreds in one another
            return []
        found = []
        for display, email in pairs:
            email = email.strip().lower()
            if _ADDRESS.fullmatch(email) and len(email) <= _LONGEST_ADDRESS and not UNWANTED.search(email):
                found.append(Address(one_line(decoded(display[: LONGEST_NAME * 8]), LONGEST_NAME), email))
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
        normal = normalize_encoding(name[:_LONGEST_CHARSET]).lower().replace(".", "_")
        if normal not in _CHARSETS or aliases.get(normal, normal) in _NO_CHARSETS:
            continue
        try:
            return octets.decode(normal)
        except (LookupError, ValueError):  # of which UnicodeError is one
            continue
    return octets.decode("latin-1")


def one_line(text: str, limit: int) -> str:
    """On one line, without control characters, cut with an ellipsis."""
    line = " ".join(UNWANTED.sub(" ", text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
