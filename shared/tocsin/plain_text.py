"""Control characters in ids, names and addresses: they end a header, a log line or a cell of a table. Pure.

Control characters here are those of Unicode (category Cc: NUL, tab, CR, LF, DEL, the C1 set), the line and paragraph
separators U+2028 and U+2029, the marks that change the direction of the text around them (U+202A to U+202E and U+2066
to U+2069), lone surrogates, and the byte order mark U+FEFF. Joiners are not: names and emoji contain them.
"""

import re
from typing import Final

CONTROL_CHARACTERS: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
"""The characters, for use inside the brackets of a regular expression of Python."""

_CONTROL: Final = re.compile(f"[{CONTROL_CHARACTERS}]")


def has_control_characters(text: str) -> bool:
    """Whether the text contains a control character, also at its ends."""
    return _CONTROL.search(text) is not None


def without_control_characters(text: str) -> str:
    """The stripped text; if it contains control characters, each run of them and of white space is one space."""
    return " ".join(_CONTROL.sub(" ", text).split()) if has_control_characters(text) else text.strip()
