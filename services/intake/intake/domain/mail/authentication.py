"""What mail servers found out about a sender (Authentication-Results, RFC 8601). Pure."""

import re
from typing import Final

from tocsin.email_address import comparable_domain
from tocsin.mail import tokenize

_DMARC: Final = re.compile(r"\s*dmarc\s*(?:/\s*[0-9]+\s*)?=\s*([a-z]+)", re.IGNORECASE)
_HEADER_FROM: Final = re.compile(r"\sheader\.from\s*=\s*(\S*)", re.IGNORECASE)


def results_server(header: str) -> str:
    """The name of the server that wrote the header, in lower case; empty if it has none."""
    words = _without_quotations(header).partition(";")[0].split()
    return words[0].lower() if words else ""


# docs/rules.md#6-20
def passes_dmarc(header: str, domain: str) -> bool:
    """Whether the header says that a mail of this domain passed DMARC, and nothing else about DMARC."""
    results = _without_quotations(header).split(";")[1:]
    found = [(verdict[1].lower(), each) for each in results if (verdict := _DMARC.match(each))]
    return bool(found) and all(verdict == "pass" and _is_about(result, domain) for verdict, result in found)


def _is_about(result: str, domain: str) -> bool:
    """Whether a result is about this domain or one above it; a result that names no domain is about any."""
    stated = _HEADER_FROM.search(result)
    return stated is None or f".{comparable_domain(domain)}".endswith(f".{comparable_domain(stated[1])}")


def _without_quotations(header: str) -> str:
    """The header without what the sender may have chosen: comments and quoted text, such as an envelope address.

    Empty if a quotation does not end, because then anything may be quoted.
    """
    tokens = list(tokenize(header))
    if any(token.kind == "stray" for token in tokens):
        return ""
    return "".join(token.text if token.kind in ("text", "separator") else " " for token in tokens)
