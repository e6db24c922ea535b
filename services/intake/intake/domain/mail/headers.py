"""The headers of a mail as text, whatever their bytes. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tocsin.characters import is_line, one_line

from intake.domain.mail.addresses import parse_addresses
from intake.domain.mail.charsets import decode_text
from intake.domain.mail.encoded_words import decode_words
from intake.domain.mail.message_ids import find_message_ids

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
        for display, address in parse_addresses(self._decoded(raw)):
            email = address.lower()
            if _ADDRESS.fullmatch(email) and len(email) <= _MAX_ADDRESS_LENGTH and is_line(email):
                name = decode_words(display[: MAX_NAME_LENGTH * 8]).replace("\t", " ")  # a header is folded with tabs
                found.append(EmailAddress(one_line(name, MAX_NAME_LENGTH), email, is_cleaned=not is_line(name)))
        return found

    def _decoded(self, raw: str) -> str:
        """The header without surrogates: its unencoded bytes as UTF-8, or else as the mail's own character set."""
        if raw.isascii() and "\x1b" not in raw:
            return raw
        return decode_text(raw.encode("ascii", "surrogateescape"), "utf-8", self._charset)
