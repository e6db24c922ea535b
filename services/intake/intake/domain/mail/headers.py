"""The headers of a mail as text, whatever their bytes. Pure."""

import encodings
import re
from binascii import Error as BinasciiError
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from encodings import normalize_encoding
from encodings.aliases import aliases
from pkgutil import iter_modules
from typing import Final

from intake.domain.mail.addresses import parse_addresses
from intake.domain.mail.message_ids import find_message_ids

UNWANTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""Control characters, and characters that cannot be stored."""

# The standard library needs quadratic time for longer ones.
_MAX_HEADER_LENGTH: Final = 4_000
MAX_RECIPIENTS_LENGTH: Final = 8_000
MAX_NAME_LENGTH: Final = 200
_MAX_CHARSET_LENGTH: Final = 40
_MAX_ADDRESS_LENGTH: Final = 254  # RFC 5321
_ADDRESS: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\]{1,189}")
# Codecs that are not character sets of mails: slow, lossy, or with warnings.
_EXCLUDED_CODECS: Final = frozenset({"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"})
# Python searches the file system for every other name, each time, and caches it for ever.
_CHARSETS: Final = {*aliases, *aliases.values(), *(module.name for module in iter_modules(encodings.__path__))}


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """`email` is in lower case; `name` is empty if the mail has none."""

    name: str
    email: str

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


class MailHeaders:
    """The headers of a mail or of one of its parts. Long headers are truncated, so that reading them takes no time."""

    def __init__(self, found: Iterable[tuple[bytes, bytes]]) -> None:
        self._found: dict[str, list[str]] = {}
        for name, value in found:
            text = value.strip(b" \t").decode("ascii", "surrogateescape")
            self._found.setdefault(name.decode("ascii").lower(), []).append(text)

    def names(self) -> Collection[str]:
        """Their names, in lower case."""
        return self._found.keys()

    def plain(self, name: str) -> Iterator[str]:
        """The values of all headers with that name, in their order; encoded words are not decoded."""
        return (_bare(raw[:_MAX_HEADER_LENGTH].replace("\n", " ")) for raw in self._found.get(name.lower(), ()))

    def first(self, name: str) -> str:
        """The value of the first header with that name, not decoded; empty if there is none."""
        return next(self.plain(name), "")

    def text(self, name: str) -> str:
        """The value of the first header with that name, decoded; empty if there is none."""
        return decode_words(self.first(name))

    def message_ids(self, name: str) -> list[str]:
        """The ids in all headers with that name, without their angle brackets."""
        raw = " ".join(self._found.get(name.lower(), ()))
        # Some programs write a long id as encoded words.
        return find_message_ids(decode_words(raw) if len(raw) <= _MAX_HEADER_LENGTH else _bare(raw))

    def addresses(self, header: str, max_length: int = _MAX_HEADER_LENGTH) -> list[EmailAddress]:
        """The valid addresses in the first `max_length` characters of all headers with that name."""
        raw = ", ".join(self._found.get(header.lower(), ())).replace("\n", " ")
        if len(raw) > max_length:
            raw = raw[:max_length].rpartition(",")[0]
        found = []
        for display, address in parse_addresses(_bare(raw)):
            email = address.lower()
            if _ADDRESS.fullmatch(email) and len(email) <= _MAX_ADDRESS_LENGTH and not UNWANTED.search(email):
                name = one_line(decode_words(display[: MAX_NAME_LENGTH * 8]), MAX_NAME_LENGTH)
                found.append(EmailAddress(name, email))
        return found


def _bare(raw: str) -> str:
    """The header with its unencoded bytes (surrogates here) decoded as UTF-8, or else as Latin-1."""
    octets = raw.encode("utf-8", "surrogateescape")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def decode_words(raw: str) -> str:
    """The header with its encoded words (RFC 2047) decoded."""
    text = _bare(raw)
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
    except (HeaderParseError, BinasciiError, ValueError):
        return text
    return "".join(
        piece if isinstance(piece, str) else decode_text(piece, charset or "ascii") for piece, charset in pieces
    )


def decode_text(octets: bytes, charset: str | None) -> str:
    """The text of these bytes; if the character set is unknown or wrong, as UTF-8 or else as Latin-1."""
    for name in (charset or "utf-8", "utf-8"):
        normal = normalize_encoding(name[:_MAX_CHARSET_LENGTH]).lower().replace(".", "_")
        if normal not in _CHARSETS or aliases.get(normal, normal) in _EXCLUDED_CODECS:
            continue
        try:
            return octets.decode(normal)
        except (LookupError, ValueError):  # UnicodeError is a ValueError
            continue
    return octets.decode("latin-1")


def one_line(text: str, limit: int) -> str:
    """The text on one line, without control characters, truncated with an ellipsis."""
    line = " ".join(UNWANTED.sub(" ", text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
