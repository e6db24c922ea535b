"""The text of an HTML mail. Pure.

Tags, comments and scripts end where the rules of HTML say; an unclosed one goes on to the end, as in a browser. So
nothing is scanned twice. (The standard library's parser starts again after every `<`, which takes quadratic time.)
"""

import re
from html import unescape
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    <!--(?:-?>|.*?(?:--!?>|\Z))
    | <(?P<silent>script|style|title|template)(?=[\s/>]).*?(?:</(?P=silent)(?=[\s/>])[^>]*(?:>|\Z)|\Z)
    | </?(?P<tag>[a-z][^\s/>]*)(?:=\s*"[^"]*(?:"|\Z)|=\s*'[^']*(?:'|\Z)|[^>])*+(?:>|\Z)
    | <[!?/][^>]*(?:>|\Z)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_BREAKS: Final = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote"})
_REFERENCE: Final = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});?", re.IGNORECASE)


def html_to_text(html: str) -> str:
    """The visible text, one line per line or paragraph."""
    visible = _TOKEN.sub(_replacement, html.replace("\n", " ").replace("\r", " "))
    lines = (" ".join(_REFERENCE.sub(_character, line).split()) for line in visible.split("\n"))
    return "\n".join(line for line in lines if line)


def _replacement(token: re.Match[str]) -> str:
    return "\n" if (token["tag"] or "").lower() in _BREAKS else ""


def _character(reference: re.Match[str]) -> str:
    return unescape(reference[0])
