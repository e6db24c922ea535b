"""The text that the sender of a reply wrote, without the mails that it quotes. Pure."""

import re
from typing import Final

_QUOTE: Final = re.compile(
    r"""
    \s*>                                                                                         # a quoted line
    | \s*[-_]{2,}\s*(original\ message|urspr\u00fcngliche\ nachricht|message\ d'origine|mensaje\ original
        |oorspronkelijk\ bericht|messaggio\ originale|mensagem\ original)
    | \s*_{10,}\s*$                                                          # the line of Outlook above the headers
    | \s*\*?(from|von|de|van|da)\s*:\*?\s.*@                                                    # the first header
    | \s*(on|am|le|el|op|il|em)\s.{0,300}\s
        (wrote|schrieb\ .*|a\ \u00e9crit|escribi\u00f3|schreef\ .*|ha\ scritto|escreveu)\s*:\s*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_WRAPPED: Final = re.compile(r"\s*(on|am|le|el|op|il|em)\s[^\n]{0,300}\d{4}", re.IGNORECASE)
_SIGNATURE: Final = re.compile(r"--\s?$")


def own_text(text: str) -> str:
    """The beginning of the text, up to a quoted mail or a signature; empty if it begins with one."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        pair = f"{line} {lines[index + 1]}" if index + 1 < len(lines) else line
        is_quote = _QUOTE.match(line) or (_WRAPPED.match(line) and _QUOTE.match(pair))
        if is_quote or _SIGNATURE.match(line):
            return "\n".join(lines[:index]).strip()
    return text.strip()
