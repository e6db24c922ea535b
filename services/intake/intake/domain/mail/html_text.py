"""The text of an HTML mail. Pure.

HTML's own rules of where a tag, a comment or a script ends: what is never closed goes on to the end, as in a browser,
so nothing is read twice. (The standard library's parser begins again behind every `<`: in the square of its length.)
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


def text_of_html(html: str) -> str:
    """What a reader would see of it, a line for a line or paragraph."""
    seen = _TOKEN.sub(_in_its_place, html.replace("\n", " ").replace("\r", " "))
    lines = (" ".join(_REFERENCE.sub(_referred_to, line).split()) for line in seen.split("\n"))
    return "\n".join(line for line in lines if line)


def _in_its_place(token: re.Match[str]) -> str:
    return "\n" if (token["tag"] or "").lower() in _BREAKS else ""


def _referred_to(reference: re.Match[str]) -> str:
    return unescape(reference[0])
