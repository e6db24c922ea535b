"""The Content headers of a mail or of one of its parts (RFC 2045, 2183, 2231). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import decode_params, unquote
from typing import Any, Final

from tocsin.characters import one_line

from intake.domain.mail.charsets import decode_text
from intake.domain.mail.encoded_words import decode_words
from intake.domain.mail.headers import MAX_NAME_LENGTH, MailHeaders
from intake.domain.mail.transfer_encoding import decode_transfer

_MAX_PARAMETERS: Final = 50
_MEDIA_TYPE: Final = re.compile(r"[^\s/;]+/[^\s/;]+")
_PARAMETER: Final = re.compile(r";\s*([^\s;=\"]+)\s*=\s*(\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|[^;\"]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ContentHeaders:
    """`type` and `disposition` are in lower case; `boundary` is empty unless this is a multipart with one."""

    type: str
    disposition: str
    encoding: str
    charset: str | None
    name: str
    boundary: bytes

    def decode(self, body: bytes) -> bytes:
        """The body without its transfer encoding; unchanged if the encoding is wrong or unknown."""
        return decode_transfer(body, self.encoding)


def content_headers(headers: MailHeaders, default_type: str) -> ContentHeaders:
    """The Content headers; `default_type` is the media type if there is none."""
    kind, disposition = headers.first("Content-Type"), headers.first("Content-Disposition")
    given = kind.partition(";")[0].strip().lower() if kind else default_type
    media_type = given if _MEDIA_TYPE.fullmatch(given) else "text/plain"
    parameters, others = _parameters(kind), _parameters(disposition)
    name = one_line(decode_words(others.get("filename") or parameters.get("name") or media_type), MAX_NAME_LENGTH)
    boundary = parameters.get("boundary", "").rstrip() if media_type.startswith("multipart/") else ""
    return ContentHeaders(
        type=media_type,
        disposition=disposition.partition(";")[0].strip().lower(),
        encoding=headers.first("Content-Transfer-Encoding").strip().lower()[:40],
        charset=parameters.get("charset"),
        name=name,
        boundary=boundary.encode(errors="replace"),
    )


def _parameters(header: str) -> dict[str, str]:
    """The parameters of a header by their names in lower case; the first of several with the same name."""
    found = [(name.lower(), unquote(value.strip())) for name, value in _PARAMETER.findall(header)[:_MAX_PARAMETERS]]
    try:
        joined: Sequence[tuple[str, Any]] = decode_params([("", ""), *found])[1:]
    except (TypeError, ValueError):  # the same parameter with and without a number
        joined = found
    return {name: _value(value) for name, value in reversed(joined)}


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        charset, _, text = value
        return decode_text(unquote(text).encode("latin-1", "replace"), charset)
    return unquote(value)
