"""A message's outline (RFC 2046): its headers, and the parts that hold something, in one pass over it. Pure.

The standard library's parser asks of every line whether it ends any of the parts around it, and of every header again
what it means: minutes for what a stranger may write. Here only lines that begin with `--` are looked at, each once.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from intake.domain.mail.content import PartHeaders, content_of
from intake.domain.mail.headers import MailHeaders

MOST_PARTS: Final = 100
MOST_HEADERS: Final = 1_000
LARGEST_HEADERS: Final = 300_000
_LARGEST_HEADERS_OF_PART: Final = 8_000
_DEEPEST: Final = 20
_MOST_DASHES: Final = 30_000
_BLOCK: Final = re.compile(rb"(?:From [^\n]*\n)?(?:(?:[!-9;-~]*:|[ \t])[^\n]*(?:\n|\Z))*+")
_HEADER: Final = re.compile(rb"^([!-9;-~]+):((?:[^\n]|\n[ \t])*+)", re.MULTILINE)
_DASHES: Final = re.compile(rb"\n--([^\n]{1,300})(?=\n|\Z)")


class TooManyHeadersError(Exception):
    """More than any mail has; str() says of what."""


@dataclass(frozen=True, slots=True)
class MimePart:
    """What is no multipart that is looked into; `body` is as it was sent, its line ends bare."""

    content: PartHeaders
    body: bytes


@dataclass(frozen=True, slots=True)
class MessageOutline:
    """A message: its headers, what it is as a whole, and its parts in their order; attached messages are parts."""

    headers: MailHeaders
    content: PartHeaders
    parts: tuple[MimePart, ...]


def outline(raw: bytes) -> MessageOutline:
    """The outline of a message, with MOST_PARTS parts at most. Raises TooManyHeadersError."""
    # A line feed before all, so that a boundary in the first line has one as well.
    raw = b"\n" + raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found, start = _headers(raw, 1, LARGEST_HEADERS)
    if start > LARGEST_HEADERS:
        raise TooManyHeadersError(f"has headers of more than {LARGEST_HEADERS:,} bytes")
    if len(found) > MOST_HEADERS:
        raise TooManyHeadersError(f"has more than {MOST_HEADERS:,} headers")
    headers = MailHeaders(found)
    content = content_of(headers, "text/plain")
    return MessageOutline(headers, content, tuple(_parts(raw, content, start)))


def _parts(raw: bytes, content: PartHeaders, start: int) -> Iterator[MimePart]:
    around: list[PartHeaders] = []
    inside: PartHeaders | None = content
    left = MOST_PARTS
    if content.boundary:
        around, inside = [content], None
    for place, dashes in enumerate(_DASHES.finditer(raw, start - 1)):
        if not around or place == _MOST_DASHES:
            break
        line = dashes[1].rstrip(b" \t")
        depth, closes = _ended(around, line)
        if depth is None or dashes.start() < start - 1:
            continue
        if inside is not None:
            yield MimePart(inside, raw[start : dashes.start()])
            left -= 1
        if not left:
            return
        del around[depth + (not closes) :]
        inside = None
        if not closes:
            found, start = _headers(raw, dashes.end() + 1, _LARGEST_HEADERS_OF_PART)
            usual = "message/rfc822" if around[-1].type == "multipart/digest" else "text/plain"
            inside = content_of(MailHeaders(found), usual)
            if inside.boundary and len(around) < _DEEPEST:
                around.append(inside)
                inside = None
    if inside is not None:
        yield MimePart(inside, raw[start:])
    elif left == MOST_PARTS:  # a multipart without a part: what it should hold may have another boundary
        yield MimePart(content, raw[start:])


def _ended(around: Sequence[PartHeaders], line: bytes) -> tuple[int | None, bool]:
    """How deep the multipart is of which that line, without its dashes, is a boundary, and whether it is the last."""
    for depth in reversed(range(len(around))):
        boundary = around[depth].boundary
        if line.startswith(boundary) and line[len(boundary) :] in (b"", b"--"):
            return depth, line != boundary
    return None, False


def _headers(raw: bytes, start: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """The headers from that place on, and the place at which what they are of begins."""
    block = _BLOCK.match(raw, start, start + limit)
    assert block is not None  # it matches nothing as well
    end = block.end()
    return _HEADER.findall(block[0]), end + 1 if raw[end : end + 1] == b"\n" else end
