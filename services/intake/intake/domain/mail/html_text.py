"""The text of an HTML mail. Pure.

Tags, comments and scripts end where the rules of HTML say; an unclosed one goes on to the end, as in a browser. So
nothing is scanned twice. (The standard library's parser starts again after every `<`, which takes quadratic time.)
"""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    <!--(?:-?>|.*?(?:--!?>|\Z))
    | <(?P<silent>script|style|title|template)(?=[\s/>]).*?(?:</(?P=silent)(?=[\s/>])[^>]*(?:>|\Z)|\Z)
    | <(?P<end>/?)(?P<tag>[a-z][^\s/>]*)(?P<attributes>(?:=\s*"[^"]*(?:"|\Z)|=\s*'[^']*(?:'|\Z)|[^>])*+)(?:>|\Z)
    | <[!?/][^>]*(?:>|\Z)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_BREAKS: Final = frozenset(
    {"address", "article", "aside", "blockquote", "body", "br", "center", "dd", "div", "dl", "dt", "fieldset", "figure"}
    | {"footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre"}
    | {"section", "table", "tr", "ul"}
)
_EMPTY_ELEMENTS: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|opacity\s*:\s*0(?![.\d])|max-height\s*:\s*0(?:px)?\s*(?:[;!\"']|\Z)",
    re.IGNORECASE,
)
_STYLE: Final = re.compile(r"\bstyle\s*=\s*(\"[^\"]*|'[^']*|[^\s\"']+)", re.IGNORECASE)
_HIDDEN_ATTRIBUTE: Final = re.compile(r"\shidden(?=[\s=/]|\Z)", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?", re.IGNORECASE)
_META_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([a-z0-9][\w.:+-]{0,60})", re.IGNORECASE)
_CELL: Final = "\t"


def html_to_text(html: str) -> str:
    """The visible text, one line per line or paragraph; a bar separates the cells of a table."""
    # Without any tag this is plain text, with line breaks that count.
    rendering = _Rendering(preformatted=int(_TOKEN.search(html) is None))
    position = 0
    for token in _TOKEN.finditer(html):
        rendering.add_text(html[position : token.start()])
        if token["tag"]:
            rendering.add_tag(token["tag"].lower(), token["attributes"], is_end=bool(token["end"]))
        position = token.end()
    rendering.add_text(html[position:])
    return rendering.text()


def declared_charset(octets: bytes) -> str | None:
    """The character set that an HTML document declares at its beginning."""
    found = _META_CHARSET.search(octets[:2_000])
    label = found[1].decode("latin-1") if found else None
    # Bytes in which that declaration can be read are not UTF-16.
    return "utf-8" if label and label.lower().startswith("utf-16") else label


@dataclass(slots=True)
class _Rendering:
    """The text so far; what is in a hidden element is kept apart, and counts only if the element has no end."""

    shown: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    hidden_tag: str = ""
    hidden_depth: int = 0
    preformatted: int = 0

    def add_text(self, text: str) -> None:
        visible = text if self.preformatted else text.replace("\n", " ").replace("\r", " ")
        self._target().append(visible.replace(_CELL, " "))

    def add_tag(self, tag: str, attributes: str, *, is_end: bool) -> None:
        if tag == "pre":
            self.preformatted = max(0, self.preformatted + (-1 if is_end else 1))
        if self.hidden_depth:
            self.hidden_depth += (-1 if is_end else 1) if tag == self.hidden_tag else 0
            if not self.hidden_depth:
                self.hidden.clear()
        elif not is_end and tag not in _EMPTY_ELEMENTS and _is_hidden(attributes):
            self.hidden_tag, self.hidden_depth = tag, 1
        if tag in _BREAKS:
            self._target().append("\n")
        elif tag in ("td", "th") and is_end:
            self._target().append(_CELL)

    def text(self) -> str:
        lines = "".join([*self.shown, *self.hidden]).replace("\r", "").split("\n")
        rows = (" | ".join(cell for cell in map(_plain, line.split(_CELL)) if cell) for line in lines)
        return "\n".join(row for row in rows if row)

    def _target(self) -> list[str]:
        return self.hidden if self.hidden_depth else self.shown


def _is_hidden(attributes: str) -> bool:
    style = _STYLE.search(attributes)
    return bool((style and _HIDDEN.search(style[1])) or _HIDDEN_ATTRIBUTE.search(attributes))


def _plain(text: str) -> str:
    return " ".join(_REFERENCE.sub(lambda reference: unescape(reference[0]), text).split())
