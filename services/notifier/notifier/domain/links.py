"""The pages that a mail links to: of an acknowledgement, and of the ticket in its own tool. Pure."""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, TypeAdapter, ValidationError
from tocsin.events import Ticket

PLACES: Final = ("external_id", "ticket_id")
"""What a template for the address of a ticket's page may hold in braces."""

_LONGEST: Final = 2000  # characters: longer ones are cut by the first program that handles them
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1")
_UNWANTED: Final = re.compile(r"[\s\x00-\x1f\x7f\"<>\\^`|]")


def public_url(text: str) -> str:
    """The base of pages that people reach, without a slash at its end. Raises ValueError that says what is wrong."""
    base = text.strip().rstrip("/")
    _check_page(base)
    parts = urlsplit(base)
    if parts.query or parts.fragment:
        raise ValueError("must be the base of addresses: nothing may follow the path")
    if parts.scheme == "http" and not is_this_machine(parts.hostname or ""):
        raise ValueError("must begin with https://, since links in mails are secrets; http:// is for this machine only")
    return base


def is_this_machine(host: str) -> bool:
    """Whether what is sent to that host leaves no network card."""
    return _LOOPBACK.fullmatch(host) is not None


def page_template(text: str) -> str:
    """The address of a ticket's page, its ids in braces. Raises ValueError that says what is wrong."""
    try:
        places = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    except ValueError:
        raise ValueError(f"{text!r} has a brace without its partner") from None
    if any(name not in PLACES or spec or conversion for name, spec, conversion in places):
        raise ValueError(f"{text!r} may have {{external_id}} and {{ticket_id}} in braces, and nothing else")
    if not places:
        raise ValueError(f"{text!r} leads every ticket to the same page: it has no {{external_id}}")
    _check_page(text)
    if "{" in urlsplit(text).netloc:
        raise ValueError(f"{text!r} must not take its host from a ticket")
    return text


def ticket_page(templates: Mapping[str, str], ticket: Ticket) -> str | None:
    """The address of the ticket's page in its source, ids percent-encoded; None where nobody said how it is made."""
    template = templates.get(ticket.source)
    if template is None or len(ticket.external_id) > _LONGEST:
        return None
    ids = {"external_id": ticket.external_id, "ticket_id": str(ticket.ticket_id)}
    page = template.format_map({place: quote(value, safe="", errors="replace") for place, value in ids.items()})
    return page if len(page) <= _LONGEST else None


def _check_page(text: str) -> None:
    if _UNWANTED.search(text) or not text.isascii():
        raise ValueError(f"{text!r} must be ASCII without spaces, quotes and the like: percent-encode them")
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or "@" in parts.netloc:
        raise ValueError("must be an address such as https://sla.example.com")


_TEMPLATES: Final = TypeAdapter(dict[str, Annotated[str, AfterValidator(page_template)]])


def page_templates(text: str) -> Mapping[str, str]:
    """Templates by source, from a JSON object. Raises ValueError that says what is wrong."""
    try:
        return _TEMPLATES.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        if problem["type"] != "value_error":
            raise ValueError(
                'must be a JSON object such as {"connectwise": "https://psa.example.com/tickets/{external_id}"}'
            ) from None
        source = ".".join(str(place) for place in problem["loc"])
        raise ValueError(f"{source}: {str(problem['msg']).removeprefix('Value error, ')}") from None
