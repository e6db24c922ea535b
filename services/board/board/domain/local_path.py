"""The redirect after a login: a page of this site, never another site or a stream. Pure."""

import re
from typing import Final

_PAGE: Final = re.compile(
    r"/(?:(?:tickets|on-call|reports)(?:/(?!\.)[^\\\x00-\x20\x7f/?#]*)?)?(?:[?#][^\\\x00-\x20\x7f]*)?"
)
"""Browsers read a backslash as a slash, remove tabs and line breaks inside an address, and resolve `..`."""


def local_path(text: str) -> str:
    """The text if it is the path of a page that people read, with its query; otherwise `/`."""
    return text if text.isascii() and _PAGE.fullmatch(text) else "/"
