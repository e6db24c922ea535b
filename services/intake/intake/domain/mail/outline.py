"""The structure of a mail (RFC 2046): its headers and its parts, found in one pass. Pure.

The standard library's parser checks every line against every enclosing boundary, which can take minutes for a crafted
mail. Here only the lines that begin with `--` are checked, each once.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from intake.domain.mail.content import ContentHeaders, content_headers
from intake.domain.mail.headers import MailHeaders
from intake.errors import UnreadableMailError

MAX_PARTS: Final = 100
MAX_HEADERS: Final = 1_000
MAX_HEADER_BYTES: Final = 300_000
_MAX_HEADER_BYTES_OF_PART: Final = 8_000
_MAX_DEPTH: Final = 20
_MAX_DASH_LINES: Final = 30_000
_BLOCK: Final = re.compile(rb"(?:From [^\n]*\n)?(?:(?:[!-9;-~]*:|[ \t])[^\n]*(?:\n|\Z))*+")
_HEADER: Final = re.compile(rb"^([!-9;-~]+):((?:[^\n]|\n[ \t])*+)", re.MULTILINE)
_DASHES: Final = re.compile(rb"\n--([^\n]{1,300})(?=\n|\Z)")


@dataclass(frozen=True, slots=True)
class MimePart:
    """A part that is not split further; `body` is still encoded, with line feeds only."""

    content: ContentHeaders
    body: bytes


@dataclass(frozen=True, slots=True)
class MessageOutline:
    """The headers of a mail, those of its content, and its parts in their order; an attached mail is one part."""

    headers: MailHeaders
    content: ContentHeaders
    parts: tuple[MimePart, ...]


def read_outline(raw: bytes) -> MessageOutline:
    """The structure of a mail, with at most MAX_PARTS parts. Raises UnreadableMailError."""
    # A line feed first, so that a boundary in the first line has one before it too.
    raw = b"\n" + raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found, start = _headers(raw, 1, MAX_HEADER_BYTES)
    if start > MAX_HEADER_BYTES:
        raise UnreadableMailError(f"has headers of more than {MAX_HEADER_BYTES:,} bytes")
    if len(found) > MAX_HEADERS:
        raise UnreadableMailError(f"has more than {MAX_HEADERS:,} headers")
    headers = MailHeaders(found)
    content = content_headers(headers, "text/plain")
    return MessageOutline(headers, content, tuple(_parts(raw, content, start)))


def _parts(raw: bytes, content: ContentHeaders, start: int) -> Iterator[MimePart]:
    enclosing: list[ContentHeaders] = []
    current: ContentHeaders | None = content
    left = MAX_PARTS
    if content.boundary:
        enclosing, current = [content], None
    for number, dashes in enumerate(_DASHES.finditer(raw, start - 1)):
        if not enclosing or number == _MAX_DASH_LINES:
            break
        line = dashes[1].rstrip(b" \t")
        depth, closes = _find_boundary(enclosing, line)
        if depth is None or dashes.start() < start - 1:
            continue
        if current is not None:
            yield MimePart(current, raw[start : dashes.start()])
            left -= 1
        if not left:
            return
        del enclosing[depth + (not closes) :]
        current = None
        if not closes:
            found, start = _headers(raw, dashes.end() + 1, _MAX_HEADER_BYTES_OF_PART)
            default_type = "message/rfc822" if enclosing[-1].type == "multipart/digest" else "text/plain"
            current = content_headers(MailHeaders(found), default_type)
            if current.boundary and len(enclosing) < _MAX_DEPTH:
                enclosing.append(current)
                current = None
    if current is not None:
        yield MimePart(current, raw[start:])
    elif left == MAX_PARTS:  # a multipart without parts: its boundary may be wrong
        yield MimePart(content, raw[start:])


def _find_boundary(enclosing: Sequence[ContentHeaders], line: bytes) -> tuple[int | None, bool]:
    """The depth of the multipart whose boundary this line is (without dashes), and whether it closes the multipart."""
    for depth in reversed(range(len(enclosing))):
        boundary = enclosing[depth].boundary
        if line.startswith(boundary) and line[len(boundary) :] in (b"", b"--"):
            return depth, line != boundary
    return None, False


def _headers(raw: bytes, start: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """The headers from `start` on, and the position of the body after them."""
    block = _BLOCK.match(raw, start, start + limit)
    assert block is not None  # it also matches the empty string
    end = block.end()
    return _HEADER.findall(block[0]), end + 1 if raw[end : end + 1] == b"\n" else end
