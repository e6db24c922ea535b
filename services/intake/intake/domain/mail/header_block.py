"""Finds the headers of a mail or of one of its parts (RFC 5322, also the obsolete syntax of its 4.5). Pure."""

import re
from typing import Final

_BLOCK: Final = re.compile(rb"(?:(?!--)[!-9;-~\0]*+[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+)*+")
_HEADER: Final = re.compile(rb"^([!-9;-~]++)[ \t]*+:((?:[^\n]|\n[ \t])*+)", re.MULTILINE)
_KNOWN: Final = (
    rb"(?:from|to|cc|subject|date|message-id|in-reply-to|references|reply-to|sender|return-path|received|mime-version"
    rb"|dkim-signature|authentication-results|delivered-to|bcc|importance|precedence|auto-submitted|user-agent"
    rb"|(?:content|x|list|arc|thread|resent)-[!-9;-~]+)[ \t]*:"
)
# Lines that are no header, among headers: they belong to a header that lost its name or its indentation.
_DAMAGED_LINES: Final = re.compile(rb"(?:(?!--)[^\n]++\n){1,10}?(?=" + _KNOWN + rb")", re.IGNORECASE)
_MAX_EMPTY_LINES: Final = 2
_MORE_HEADERS: Final = re.compile(rb"\n*+(?=" + _KNOWN + rb")", re.IGNORECASE)


def read_message_headers(raw: bytes, start: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """As `read_headers`, for a whole mail; an empty line before From does not end its headers, if others follow it."""
    found, end = read_headers(raw, start, limit)
    for _ in range(_MAX_EMPTY_LINES):
        more = _MORE_HEADERS.match(raw, end)
        if more is None or end - start >= limit or any(name.lower() == b"from" for name, _ in found):
            break
        further, end = read_headers(raw, more.end(), limit)
        found += further
    return found, end


def read_headers(raw: bytes, start: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """The names and values of the headers from `start` on, and the position of the body after them.

    Lines end with line feeds. At most `limit` bytes are read. The body begins after an empty line, or with the first
    line that is no header, unless headers follow it.
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
