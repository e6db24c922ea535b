"""Message-IDs in the headers of a mail (RFC 5322, 3.6.4), with or without their angle brackets. Pure.

Programs write ids without brackets, with commas or comments between them, folded, with white space inside the brackets,
or with escaped brackets. The same id compares equal however a header spells it.
"""

import re
from collections.abc import Iterator
from typing import Final

_MAX_LENGTH: Final = 990
_ENTRY: Final = re.compile(r"<(?P<brackets>[^<>]*+)>|\([^()<>]*+\)|(?P<bare>[^\s<>,;()\"]++)")
# Programs write these for a missing id. They would join all mails of such a program.
_PLACEHOLDERS: Final = frozenset({"null", "none", "nil", "undefined", "unknown", "empty"})


def find_message_ids(header: str) -> list[str]:
    """The ids in a decoded header, in their order and without brackets; every id once.

    A word without brackets is an id if it contains an @, or a digit if it is the whole header.
    """
    header = header.replace("&lt;", "<").replace("&gt;", ">")
    if found := list(dict.fromkeys(each for each in _ids(header) if _is_id(each))):
        return found
    words = [entry["bare"].strip("'") for entry in _ENTRY.finditer(header) if entry["bare"]]
    return [word for word in words if len(words) == 1 and _is_id(word) and re.search(r"\d", word)]


def _ids(header: str) -> Iterator[str]:
    for entry in _ENTRY.finditer(header):
        if entry["brackets"] is not None:
            pieces = entry["brackets"].split()
            # White space inside the brackets was added by folding, unless it separates two ids.
            yield from pieces if all(map(_has_both_sides, pieces)) else ["".join(pieces)]
        elif entry["bare"] and _has_both_sides(bare := entry["bare"].strip("'")):
            yield bare


def _has_both_sides(text: str) -> bool:
    left, at, right = text.rpartition("@")
    return bool(left and at and right)


def _is_id(text: str) -> bool:
    return len(text) <= _MAX_LENGTH and text.lower() not in _PLACEHOLDERS and re.search(r"\w", text) is not None
