"""The text of an HTML mail. Pure."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Final

LARGEST: Final = 300_000
"""Characters that are looked at."""

_BREAKS: Final = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote"})
_SILENT: Final = frozenset({"script", "style", "head", "title", "template"})
_TAG: Final = re.compile(r"<[^<>]*>")
_BLANK: Final = re.compile(r"[ \t\xa0]+")
_LINES: Final = re.compile(r"\s*\n\s*(\n\s*)*")


def text_of_html(html: str) -> str:
    """What a reader would see of it, a line for a line or paragraph."""
    reader = _Reader()
    try:
        reader.feed(html[:LARGEST])
        reader.close()
        text = "".join(reader.pieces)
    except AssertionError:  # how the standard library answers declarations that are none
        text = unescape(_TAG.sub(" ", html[:LARGEST]))
    return _LINES.sub("\n", _BLANK.sub(" ", text)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent is None and tag in _SILENT:
            self._silent = tag
        elif tag in _BREAKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = None
        elif tag in _BREAKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._silent is None:
            self.pieces.append(_BLANK.sub(" ", data.replace("\n", " ")))
