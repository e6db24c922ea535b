"""The redirect after a login: a path of this site, never another site. Pure."""

import re
from typing import Final

_LOCAL: Final = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
"""Browsers read a backslash as a slash, and remove tabs and line breaks inside an address."""


def local_path(text: str) -> str:
    """The text if it is a path on this site, with its query; otherwise `/`."""
    return text if text.isascii() and _LOCAL.fullmatch(text) else "/"
