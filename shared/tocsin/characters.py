"""Checks or removes the characters that a text from outside must not contain, by its kind. Pure.

Three kinds (docs/rules.md#1-12): an *id* is compared (external ids, sources, customer ids), a *line* is shown on one
line of a mail, a page or a header (names, summaries), a *block* has several lines (descriptions, reasons).

- A REST call and a configuration file are checked: `check_id`, `check_line` and `check_block` raise ValueError.
- What tools and mails send is repaired: `clean_id`, `clean_line` and `clean_block`.
"""

import re
import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, Field

# Unicode will never assign these (U+FDD0 to U+FDEF, and the last two code points of every plane).
_NONCHARACTERS: Final = r"\ufdd0-\ufdef\ufffe\uffff" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000)
)
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_BLOCK_CONTROLS: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
_ZERO_WIDTH_SPACES: Final = r"\u200b\u2060\ufeff"
"""No word and no emoji needs them, unlike the joiners U+200C and U+200D."""
_DIRECTIONS: Final = r"\u202a-\u202e\u2066-\u2069"
"""They reorder the text around them: `gpj.exe` is shown as `exe.jpg`."""
# Unicode's Default_Ignorable_Code_Point and the interlinear marks. Astral ones are literal: ECMAScript, Rust and Python
# escape them differently.
INVISIBLE: Final = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb" + "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""The invisible characters, for use inside brackets."""
_SURROGATES: Final = r"\ud800-\udfff"
"""Half of a pair; it cannot be stored. JSON in UTF-8 has none, so the patterns below omit them."""

NOT_IN_LINE: Final = _CONTROLS + _DIRECTIONS + _ZERO_WIDTH_SPACES + _NONCHARACTERS
"""The characters that a line must not contain, for use inside brackets."""
NOT_IN_ID: Final = _CONTROLS + INVISIBLE + _NONCHARACTERS
"""The characters that an id must not contain, for use inside brackets."""
NOT_IN_BLOCK: Final = _BLOCK_CONTROLS + _NONCHARACTERS
"""The characters that a block must not contain, for use inside brackets."""
LINE_PATTERN: Final = f"^[^{NOT_IN_LINE}]*$"
"""The JSON Schema pattern of a line."""
ID_PATTERN: Final = f"^[^{NOT_IN_ID}]*$"
"""The JSON Schema pattern of an id."""
BLOCK_PATTERN: Final = f"^[^{NOT_IN_BLOCK}]*$"
"""The JSON Schema pattern of a block. CR LF is accepted too."""

_NOT_IN_LINE: Final = re.compile(f"[{NOT_IN_LINE}{_SURROGATES}]")
_NOT_IN_ID: Final = re.compile(f"[{NOT_IN_ID}{_SURROGATES}]+")
_NOT_IN_BLOCK: Final = re.compile(f"[{NOT_IN_BLOCK}{_SURROGATES}]")
_CONTROL: Final = re.compile(f"[{_CONTROLS}{_SURROGATES}]")
# Kept where text is shown: without joiners and variation selectors, emoji and Persian words fall apart.
_NEVER_SHOWN: Final = re.compile(f"(?![\u200c\u200d\ufe00-\ufe0f])[{INVISIBLE}]")
_LINE_BREAKS: Final = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_SPACES: Final = re.compile(r"\s+")


def check_line(text: str) -> str:
    """The text if it may stand on one line. Raises ValueError, which says what to remove."""
    return _check(text, _NOT_IN_LINE, "must be one line of text without control characters and zero-width spaces")


def check_block(text: str) -> str:
    """The text with its line breaks as LF, if it has no other control character than LF and TAB. Raises ValueError."""
    text = text.replace("\r\n", "\n")
    return _check(text, _NOT_IN_BLOCK, "must have no control characters but line breaks and tabs")


def check_id(text: str) -> str:
    """The id in its one spelling (`canonical_id`), if it has no control or invisible character. Raises ValueError."""
    return canonical_id(_check(text, _NOT_IN_ID, "must have no control or invisible characters"))


def is_line(text: str) -> bool:
    """Whether `check_line` accepts the text. A ticket whose text from a tool or mail was repaired gets a flag."""
    return not _NOT_IN_LINE.search(text)


def is_id(text: str) -> bool:
    """Whether `check_id` accepts the text."""
    return not _NOT_IN_ID.search(text)


def canonical_id(text: str) -> str:
    """The one spelling of an id: Unicode's composed form (NFC), without white space around it."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def clean_line(text: str) -> str:
    """The text on one line: runs of white space and control characters become one space, the rest is removed."""
    return _SPACES.sub(" ", _NOT_IN_LINE.sub(_repaired, text)).strip()


def clean_block(text: str) -> str:
    """The text with its line breaks as LF, without other control characters than LF and TAB."""
    return _NOT_IN_BLOCK.sub("", _LINE_BREAKS.sub("\n", text))


def clean_id(text: str) -> str:
    """The id in its one spelling, without invisible characters and with one space in place of control characters."""
    return canonical_id(_NOT_IN_ID.sub(_repaired, text))


def one_line(text: str, limit: int) -> str:
    """The text as it is shown on one line: `clean_line` without invisible characters, cut with an ellipsis."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    # Cut generously first: a megabyte of text need not be checked character by character.
    line = clean_line(_NEVER_SHOWN.sub("", _CONTROL.sub(" ", text[: limit * 4])))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _check(text: str, unwanted: re.Pattern[str], rule: str) -> str:
    if text.isascii() and text.isprintable():  # most are: no kind has anything against these
        return text
    if found := unwanted.search(text):
        raise ValueError(f"{rule}; remove U+{ord(found[0][0]):04X} after {found.start()} characters")
    return text


def _repaired(found: re.Match[str]) -> str:
    return " " if _CONTROL.search(found[0]) else ""


Line = Annotated[str, AfterValidator(check_line), Field(json_schema_extra={"pattern": LINE_PATTERN})]
"""A string field that is shown on one line."""

Block = Annotated[str, AfterValidator(check_block), Field(json_schema_extra={"pattern": BLOCK_PATTERN})]
"""A string field of several lines."""

Id = Annotated[str, AfterValidator(check_id), Field(json_schema_extra={"pattern": ID_PATTERN})]
"""A string field that is compared. It is in its one spelling."""
