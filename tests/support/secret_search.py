"""Whether a secret can be found in what was told, also in the forms that its way there may have given it."""

import base64
import html
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

import orjson


def forms(secret: str) -> Iterator[bytes]:
    """The secret as it is, and as URLs, JSON, HTML, hexadecimal digits and base64 (wherever in it) write it."""
    raw = secret.encode()
    yield raw
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield from (quoted.encode(), quoted.lower().encode())
    yield orjson.dumps(secret)[1:-1]
    yield html.escape(secret).encode()
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    for before in range(3):
        # Its own digits alone: the first and the last ones depend on what stands beside it.
        digits = base64.b64encode(b"\0" * before + raw)[(0, 2, 3)[before] :]
        digits = digits.rstrip(b"=")[: -1 if (before + len(raw)) % 3 else None]
        yield from (digits, digits.translate(bytes.maketrans(b"+/", b"-_")))


def told(secrets: Mapping[str, str], where: Iterable[tuple[str, bytes]]) -> list[str]:
    """What was found of which secret, and where, with the words around it."""
    sought = {name: set(forms(secret)) for name, secret in secrets.items()}
    return [
        f"{name} in {place}: {text[max(0, at - 150) : at + 150]!r}"
        for place, text in where
        for name, written in sought.items()
        for form in written
        if (at := text.find(form)) >= 0
    ]
