"""Searching logs, responses and databases for secrets, in all encodings in which they may appear there."""

import base64
import html
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

import orjson


def find_secrets(secrets: Mapping[str, str], sources: Iterable[tuple[str, bytes]]) -> list[str]:
    """One line for each secret found: its name, the source, and the text around it.

    `secrets` maps names to secrets; `sources` are pairs of a name and a content.
    """
    encoded = {name: set(encodings(secret)) for name, secret in secrets.items()}
    return [
        f"{name} in {source}: {content[max(0, at - 150) : at + 150]!r}"
        for source, content in sources
        for name, forms in encoded.items()
        for form in forms
        if (at := content.find(form)) >= 0
    ]


def encodings(secret: str) -> Iterator[bytes]:
    """The secret as it is, and in URLs, JSON, HTML, hexadecimal digits, and base64 at any offset."""
    raw = secret.encode()
    yield raw
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield from (quoted.encode(), quoted.lower().encode())
    yield orjson.dumps(secret)[1:-1]
    yield html.escape(secret).encode()
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for offset in range(3):
        # Without the first and last digits, which depend on the neighbouring bytes.
        digits = base64.b64encode(b"\0" * offset + raw)[(0, 2, 3)[offset] :]
        digits = digits.rstrip(b"=")[: -1 if (offset + len(raw)) % 3 else None]
        yield from (digits, digits.translate(bytes.maketrans(b"+/", b"-_")))
