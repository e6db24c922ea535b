"""The text that the sender of a reply wrote, without the mails that it quotes. Pure."""

import re
from typing import Final

_QUOTE: Final = re.compile(
    r"""
    >                                                                                            # a quoted line
    | [-_]{2,}\s*(original\ message|forwarded\ message|urspr\u00fcngliche\ nachricht|message\ d'origine
        |mensaje\ original|oorspronkelijk\ bericht|messaggio\ originale|mensagem\ original)
    | _{10,}$                                                                # the line of Outlook above the headers
    | \*?(from|von|de|van|da)\s*:\*?\s.*@                                                       # the first header
    | (on|am|le|el|op|il|em)\s.{0,300}\s
        (wrote|schrieb\ .*|a\ \u00e9crit|escribi\u00f3|schreef\ .*|ha\ scritto|escreveu)\s*:\s*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_WRAPPED: Final = re.compile(r"(on|am|le|el|op|il|em)\s.{0,300}\d{4}", re.IGNORECASE)
_SIGNATURE: Final = re.compile(
    r"--$|(sent from|gesendet von|envoy\u00e9 de|envoy\u00e9 depuis|enviado desde|inviato da) .{0,20}"
    r"(iphone|ipad|android|galaxy|outlook|mobile|phone)[\W\d]*$"
    r"|von meinem .{0,20} gesendet\W*$|get outlook for \w+(\W.*)?$",
    re.IGNORECASE,
)


def own_text(text: str) -> str:
    """The beginning of the text, up to a quoted mail or a signature; empty if it begins with one."""
    lines = text.split("\n")
    # One space in place of many: with long runs of spaces the patterns would take quadratic time.
    words = [" ".join(line.split()) for line in lines]
    for index, line in enumerate(words):
        pair = f"{line} {words[index + 1]}" if index + 1 < len(words) else line
        is_quote = _QUOTE.match(line) or (_WRAPPED.match(line) and _QUOTE.match(pair))
        if is_quote or _SIGNATURE.match(line):
            return "\n".join(lines[:index]).strip()
    return text.strip()
