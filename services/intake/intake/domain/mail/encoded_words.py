"""The encoded words of headers (RFC 2047), as mail programs write and damage them. Pure."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from intake.domain.mail.charsets import decode_text
from intake.domain.mail.transfer_encoding import decode_base64

# The last one may have no end, in a header that was truncated.
_WORD: Final = re.compile(
    r"=\?(?P<charset>[^?\s]{1,60})\?(?P<encoding>[bq])\?(?P<text>(?:[^?]|\?(?!=))*+)(?:\?=|\Z)", re.IGNORECASE
)
_ESCAPE: Final = re.compile(rb"=([0-9a-f]{2})", re.IGNORECASE)


def decode_words(text: str) -> str:
    """The text with its encoded words decoded, also where they touch other text or stand in quotes.

    Adjacent words in one character set are decoded together, because some programs split a character between them.
    """
    parts = []
    for charset, pieces in groupby(_pieces(text), key=lambda piece: piece[0]):
        octets = b"".join(octets for _, octets in pieces)
        parts.append(octets.decode() if charset is None else decode_text(octets, charset))
    return "".join(parts)


def _pieces(text: str) -> Iterator[tuple[str | None, bytes]]:
    """The character set and the bytes of each encoded word; None and UTF-8 for the text between them."""
    position = 0
    for word in _WORD.finditer(text):
        between = text[position : word.start()]
        if between and not (position and between.isspace()):
            yield None, between.encode(errors="replace")
        yield word["charset"].partition("*")[0].lower(), _octets(word)
        position = word.end()
    yield None, text[position:].encode(errors="replace")


def _octets(word: re.Match[str]) -> bytes:
    encoded = word["text"].encode(errors="replace")
    if word["encoding"] in "bB":
        return decode_base64(encoded)
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), encoded.replace(b"_", b" "))
