"""The bytes of an iCalendar as text. A wrong character set damages names at most, and never loses the calendar."""

import codecs
import re
from typing import Final

_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FOLD: Final = re.compile(rb"\r?\n[ \t]")


def decode_calendar(content: bytes) -> str:
    """The text: by its byte order mark, else as UTF-8, and lines that are not UTF-8 as Windows-1252.

    RFC 5545 says UTF-8. Some writers fold lines inside a character, and some mix in the character set of their machine.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        unfolded = _FOLD.sub(b"", content)
    return "".join(map(_decode_line, unfolded.splitlines(keepends=True)))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("windows-1252", errors="replace")
