"""The pages that mails and other pages link to: the base URL of ours, and the ticket in its own tool. Pure."""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Final
from urllib.parse import quote, urlsplit

from tocsin.events import Ticket

PLACEHOLDERS: Final = ("external_id", "ticket_id")
"""The placeholders that a template for the URL of a ticket's page may have."""

_LONGEST: Final = 2000  # characters; some programs cut longer URLs
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1")
_UNWANTED: Final = re.compile(r"[\s\x00-\x1f\x7f\"<>\\^`|]")


def public_url(text: str) -> str:
    """The base URL of the pages, without a trailing slash. Raises ValueError."""
    base = text.strip().rstrip("/")
    _check_page(base)
    parts = urlsplit(base)
    if parts.query or parts.fragment:
        raise ValueError("must be a base URL, without a query or a fragment")
    if parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        raise ValueError(
            "must begin with https://, because links in mails are secrets; http:// is for this machine only"
        )
    return base


def is_this_machine(host: str) -> bool:
    """Whether traffic to that host stays on this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def page_template(text: str) -> str:
    """A template for the URL of a ticket's page, with placeholders in braces. Raises ValueError."""
    try:
        placeholders = [
            (name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None
        ]
    except ValueError:
        raise ValueError(f"{text!r} has an unbalanced brace") from None
    if any(name not in PLACEHOLDERS or spec or conversion for name, spec, conversion in placeholders):
        raise ValueError(f"{text!r} may use the placeholders {{external_id}} and {{ticket_id}} only")
    if not placeholders:
        raise ValueError(f"{text!r} is the same page for every ticket: {{external_id}} is missing")
    _check_page(text)
    if "{" in urlsplit(text).netloc:
        raise ValueError(f"{text!r} must not have a placeholder in its host")
    return text


def ticket_page(templates: Mapping[str, str], ticket: Ticket) -> str | None:
    """The URL of the ticket's page in its source, ids percent-encoded; None if there is no template for the source."""
    template = templates.get(ticket.source)
    if template is None or len(ticket.external_id) > _LONGEST:
        return None
    ids = {"external_id": ticket.external_id, "ticket_id": str(ticket.ticket_id)}
    page = template.format_map({name: quote(value, safe="", errors="replace") for name, value in ids.items()})
    return page if len(page) <= _LONGEST else None


def _check_page(text: str) -> None:
    if _UNWANTED.search(text) or not text.isascii():
        raise ValueError(f"{text!r} must be ASCII; percent-encode spaces, quotes and the like")
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or "@" in parts.netloc:
        raise ValueError("must be a URL such as https://sla.example.com")
