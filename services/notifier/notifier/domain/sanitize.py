"""Makes text from outside (tickets, names, SMTP replies) safe for one line of a mail or a header. Pure."""

import re
import unicodedata
from typing import Final

# Cc controls, Cf invisible marks (right-to-left overrides among them), Zl and Zp line separators, Cs lone surrogates.
_UNWANTED: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_JOINER: Final = "\u200d"
_SPACES: Final = re.compile(r"\s+")


def one_line(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, without control characters, cut with an ellipsis."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    # Cut generously first: a megabyte of ticket text need not be checked character by character.
    kept = "".join(_printable(character) for character in text[: limit * 4])
    line = _SPACES.sub(" ", kept).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def first_lines(text: str, *, lines: int, limit: int) -> list[str]:
    """The first `lines` lines of `text` that are not blank, each as `one_line` makes it, and `…` if more follow."""
    # Cut generously first, as in `one_line`.
    found = [line for raw in text[: lines * limit * 4].splitlines() if (line := one_line(raw, limit))]
    return [*found[:lines], "…"] if len(found) > lines else found


def header_text(text: str, limit: int) -> str:
    """As `one_line`, without encoded words: CPython would write `=?utf-8?q?a=0D=0ABcc=3A?=` as an additional header."""
    return one_line(text, limit).replace("=?", "= ?")[:limit].rstrip()


def _printable(character: str) -> str:
    if character == _JOINER:
        return character
    return " " if unicodedata.category(character) in _UNWANTED else character
