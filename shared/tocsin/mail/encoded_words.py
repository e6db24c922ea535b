"""The encoded words of headers (RFC 2047), as mail programs write and damage them. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from tocsin.mail.charsets import decode_text, fits_charset
from tocsin.mail.transfer_encoding import decode_base64

# The last one may have no end, in a header that was truncated.
_WORD: Final = re.compile(
    r"=\?(?P<charset>[^?\s]{0,60})\?(?P<encoding>[bq])\?(?P<text>[^?]*+(?:\?(?!=)[^?]*+)*)(?:\?=|\Z)", re.IGNORECASE
)
_FOLD: Final = re.compile(r"[ \t]*+\r?\n[ \t]*+")
_ESCAPE: Final = re.compile(rb"=([0-9a-f]{2})", re.IGNORECASE)


def decode_words(text: str) -> str:
    """The text, which may be folded, with its encoded words decoded, also where they touch other text or are in quotes.

    Adjacent words in one character set are decoded together, because some programs split a character between them.
    """
    parts: list[str] = []
    for charset, pieces in groupby(_pieces(text), key=lambda piece: piece[0]):
        octets = [octets for _, octets in pieces]
        parts += [b"".join(octets).decode()] if charset is None else _decode_adjacent(octets, charset)
    return "".join(parts)


def _decode_adjacent(words: Sequence[bytes], charset: str) -> Iterator[str]:
    if fits_charset(joined := b"".join(words), charset):
        yield decode_text(joined, charset)
        return
    # One of them may be in another character set than it says.
    pending = b""
    for word in words:
        pending += word
        if fits_charset(pending, charset):
            yield decode_text(pending, charset)
            pending = b""
    yield decode_text(pending, charset)


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
    text = word["text"]
    if word["encoding"] in "bB":
        return decode_base64(text.encode(errors="replace"))
    # A folded word: where no blank is written as such, the fold is not a blank either.
    unfolded = _FOLD.sub(" " if " " in _FOLD.sub("", text) else "", text)
    encoded = unfolded.encode(errors="replace").replace(b"_", b" ")
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), encoded)
