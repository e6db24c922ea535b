"""The headers of a mail or of one of its parts, as text, whatever their bytes. Pure.

Also in the obsolete syntax of RFC 5322, 4.5, and with common damage.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tocsin.characters import clean_id, is_line, one_line
from tocsin.mail.addresses import parse_addresses
from tocsin.mail.charsets import decode_text
from tocsin.mail.encoded_words import decode_words
from tocsin.mail.message_ids import find_message_ids

_BLOCK: Final = re.compile(rb"(?:(?!--)[!-9;-~\0\x80-\xff]*+[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+)*")
_HEADER: Final = re.compile(rb"^([!-9;-~]++)[ \t]*+:((?:[^\n]|\n[ \t])*+)", re.MULTILINE)
_KNOWN: Final = (
    rb"(?:from|to|cc|subject|date|message-id|in-reply-to|references|reply-to|sender|return-path|received|mime-version"
    rb"|dkim-signature|authentication-results|delivered-to|bcc|importance|precedence|auto-submitted|user-agent"
    rb"|(?:content|x|list|arc|thread|resent)-[!-9;-~]+)[ \t]*:"
)
# Lines between headers that are not headers: they belong to a header that lost its name or its indentation.
_DAMAGED_LINES: Final = re.compile(rb"(?:(?!--)[^\n]++\n){1,10}?(?=" + _KNOWN + rb")", re.IGNORECASE)
_MAX_EMPTY_LINES: Final = 2
_MORE_HEADERS: Final = re.compile(rb"\n*+(?=" + _KNOWN + rb")", re.IGNORECASE)
_MAX_HEADER_LENGTH: Final = 4_000
MAX_RECIPIENTS_LENGTH: Final = 8_000
MAX_NAME_LENGTH: Final = 200
_MAX_ADDRESS_LENGTH: Final = 254  # RFC 5321
_ADDRESS: Final = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>\"(),:;\[\]\\]{1,189}")
_CHARSET: Final = re.compile(r"charset\s*=\s*([^;\s]{1,60})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """`email` is in lower case; `name` is empty if the mail has none, and `is_cleaned` if it had control characters."""

    name: str
    email: str
    is_cleaned: bool = field(default=False, compare=False)

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


class MailHeaders:
    """The headers of a mail or of one of its parts. Long headers are truncated, so that reading them takes no time.

    `charset` is that of their unencoded bytes, if they are not UTF-8 and the headers state no other.
    """

    def __init__(self, found: Iterable[tuple[bytes, bytes]], charset: str | None = None) -> None:
        self._found: dict[str, list[str]] = {}
        for name, value in found:
            text = value.strip(b" \t").decode("ascii", "surrogateescape")
            self._found.setdefault(name.decode("ascii").lower(), []).append(text)
        stated = _CHARSET.search("".join(self._found.get("content-type", ()))[:_MAX_HEADER_LENGTH])
        self._charset = stated[1] if stated else charset

    def names(self) -> Collection[str]:
        """Their names, in lower case."""
        return self._found.keys()

    def plain(self, name: str) -> Iterator[str]:
        """The values of all headers with that name, in their order; encoded words are not decoded."""
        return (self._decoded(raw[:_MAX_HEADER_LENGTH].replace("\n", "")) for raw in self._found.get(name.lower(), ()))

    def first(self, name: str) -> str:
        """The value of the first header with that name, not decoded; empty if there is none."""
        return next(self.plain(name), "")

    def text(self, name: str) -> str:
        """The value of the first header with that name, decoded; empty if there is none."""
        raw = next(iter(self._found.get(name.lower(), ())), "")
        return decode_words(self._decoded(raw[:_MAX_HEADER_LENGTH])).replace("\n", "")

    def message_ids(self, name: str) -> list[str]:
        """The ids in all headers with that name, without their angle brackets."""
        raw = self._decoded(" ".join(self._found.get(name.lower(), ())))
        # Some programs write a long id as encoded words.
        return find_message_ids(decode_words(raw) if len(raw) <= _MAX_HEADER_LENGTH else raw)

    def addresses(self, header: str, max_length: int = _MAX_HEADER_LENGTH) -> list[EmailAddress]:
        """The valid addresses in the first `max_length` characters of all headers with that name."""
        raw = ", ".join(self._found.get(header.lower(), ())).replace("\n", " ")
        if len(raw) > max_length:
            raw = raw[:max_length].rpartition(",")[0]
        found = []
        text = self._decoded(raw)
        if text.lstrip().startswith("=?") and "<" not in text:  # some programs encode the address with the name
            text = decode_words(text)
        for display, address in parse_addresses(text):
            email = clean_id(address).lower()
            if _ADDRESS.fullmatch(email) and len(email) <= _MAX_ADDRESS_LENGTH and is_line(email):
                name = decode_words(display[: MAX_NAME_LENGTH * 8]).replace("\t", " ")  # a header is folded with tabs
                found.append(EmailAddress(one_line(name, MAX_NAME_LENGTH), email, is_cleaned=not is_line(name)))
        return found

    def _decoded(self, raw: str) -> str:
        """The header without surrogates: its unencoded bytes as UTF-8, or else as the mail's own character set."""
        if raw.isascii() and "\x1b" not in raw:
            return raw
        return decode_text(raw.encode("ascii", "surrogateescape"), "utf-8", self._charset)


def read_message_headers(raw: bytes, start: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """As `read_headers`, for a whole mail; an empty line before From does not end its headers, if others follow it."""
    found, end = read_headers(raw, start, limit)
    for _ in range(_MAX_EMPTY_LINES):
        more = _MORE_HEADERS.match(raw, end)
        # The headers after those of a mail that is nothing but another mail are those of the other one.
        is_whole = any(name.lower() == b"from" or b"message/" in value.lower() for name, value in found)
        if more is None or end - start >= limit or is_whole:
            break
        further, end = read_headers(raw, more.end(), limit)
        found += further
    return found, end


def read_headers(raw: bytes, start: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """The names and values of the headers from `start` on, and the position of the body after them.

    Lines end with line feeds. At most `limit` bytes are read. The body begins after an empty line, or with the first
    line that is not a header, unless headers follow it.
    """
    blocks, end = [], start
    while True:
        block = _BLOCK.match(raw, end, start + limit)
        assert block is not None  # it also matches the empty string
        blocks.append(block[0].replace(b"\0", b""))
        end = block.end()
        damaged = _DAMAGED_LINES.match(raw, end, start + limit)
        if damaged is None:
            break
        end = damaged.end()
    found = [header for each in blocks for header in _HEADER.findall(each)]
    return found, end + 1 if raw[end : end + 1] == b"\n" else end
