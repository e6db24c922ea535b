"""Finds the headers of a mail or of one of its parts (RFC 5322, also the obsolete syntax of its 4.5). Pure."""

import re
from typing import Final

_BLOCK: Final = re.compile(rb"(?:(?!--)[!-9;-~\0]*+[ \t]*+:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*+)*+")
_HEADER: Final = re.compile(rb"^([!-9;-~]++)[ \t]*+:((?:[^\n]|\n[ \t])*+)", re.MULTILINE)
# Up to three lines that are no header, among headers: they belong to a header that lost its name or its indentation.
_DAMAGED_LINES: Final = re.compile(
    rb"(?:(?!--)[^\n]++\n){1,3}?"
    rb"(?=(?:from|to|cc|subject|date|message-id|in-reply-to|references|reply-to|sender|return-path|received|mime-version"
    rb"|dkim-signature|authentication-results|delivered-to|(?:content|x|list|arc)-[!-9;-~]+)[ \t]*:)",
    re.IGNORECASE,
)


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
