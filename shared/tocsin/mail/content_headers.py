"""The Content headers of a mail or of one of its parts (RFC 2045, 2183, 2231). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import decode_params, unquote
from typing import Any, Final

from tocsin.characters import one_line
from tocsin.mail.charsets import decode_text
from tocsin.mail.encoded_words import decode_words
from tocsin.mail.headers import MAX_NAME_LENGTH, MailHeaders
from tocsin.mail.transfer_encoding import decode_transfer

_MAILS: Final = frozenset({"message/rfc822", "message/global", "message/news"})
_MAX_PARAMETERS: Final = 50
_MAX_CONTENT_TYPES: Final = 5
# Only top-level types that exist: some programs write plain/text. Others write multipart/multipart/mixed.
_MEDIA_TYPE: Final = re.compile(
    r"[\s\"'<]*(?:[a-z]+/(?=[a-z]+/))?((?:text|multipart|message|application|image|audio|video|font|model|x-[a-z0-9-]+)/[a-z0-9!#$&^_.+-]+)"
)
_ENCODING_IN_TYPE: Final = re.compile(r"\bcontent-transfer-encoding\s*:\s*([a-z0-9-]+)", re.IGNORECASE)
# The semicolon before a parameter may be missing, and a comma may stand in its place.
_PARAMETER: Final = re.compile(
    r"(?:[;,]\s*|^\s*|(?<=\")\s+)([^\s;,=\"]+)\s*=\s*(\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|[^;\"]*)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class ContentHeaders:
    """`type`, `disposition` and `method` (of a text/calendar) are in lower case.

    `is_stated` says whether a valid media type is stated. `name` is the file name, or else the media type; `is_named`
    says which. `boundaries` are those of a multipart, without white space: one, unless several are stated. `id` and
    `root` are the Content-ID, and that of the root of a multipart/related, without angle brackets. `is_flowed` says
    whether spaces at the ends of lines mean that the paragraph goes on (RFC 3676), and `drops_spaces` whether they are
    not part of it.
    """

    type: str
    is_stated: bool
    disposition: str
    encoding: str
    charset: str | None
    name: str
    is_named: bool
    boundaries: tuple[bytes, ...]
    method: str
    id: str
    root: str
    is_flowed: bool
    drops_spaces: bool

    @property
    def is_mail(self) -> bool:
        """Whether the part is an attached mail; some programs attach it as a file."""
        return self.type in _MAILS or self.name.lower().endswith(".eml")

    def decode(self, body: bytes) -> bytes:
        """The body without its transfer encoding; unchanged if the encoding is wrong or unknown."""
        return decode_transfer(body, self.encoding)


def content_headers(headers: MailHeaders, default_type: str) -> ContentHeaders:
    """The Content headers; `default_type` is the media type if no valid one is stated.

    Of several Content-Type headers, one of a multipart counts; gateways add a second one and leave the first.
    """
    kinds = list(headers.plain("Content-Type"))[:_MAX_CONTENT_TYPES]
    types = [_media_type(kind) for kind in kinds]
    multiparts = [index for index, found in enumerate(types) if found and found.startswith("multipart/")]
    chosen = next(iter(multiparts or [index for index, found in enumerate(types) if found]), 0)
    stated = types[chosen] if types else None
    parameters = _parameters(kinds[chosen] if kinds else "")
    disposition = headers.first("Content-Disposition")
    file_name = _first(_parameters(disposition), "filename") or _first(parameters, "name")
    media_type = stated or default_type
    boundaries = [value for index in multiparts for name, value in _parameters(kinds[index]) if name == "boundary"]
    return ContentHeaders(
        type=media_type,
        is_stated=stated is not None,
        disposition=disposition.partition(";")[0].strip().lower(),
        encoding=_encoding(headers.first("Content-Transfer-Encoding"), kinds),
        charset=_first(parameters, "charset") or None,
        name=one_line(decode_words(file_name or media_type), MAX_NAME_LENGTH),
        is_named=bool(file_name),
        boundaries=tuple(b"".join(boundary.encode(errors="replace").split()) for boundary in boundaries if boundary),
        method=_first(parameters, "method").strip().lower(),
        id=headers.first("Content-ID").strip("<> "),
        root=_first(parameters, "start").strip("<> "),
        is_flowed=_first(parameters, "format").strip().lower() == "flowed",
        drops_spaces=_first(parameters, "delsp").strip().lower() == "yes",
    )


def _media_type(kind: str) -> str | None:
    found = _MEDIA_TYPE.match(kind.lower())
    return found[1] if found else None


def _encoding(header: str, kinds: Sequence[str]) -> str:
    """The transfer encoding; some programs write it on the line of the Content-Type."""
    found = None if header else next(filter(None, map(_ENCODING_IN_TYPE.search, kinds)), None)
    return found[1] if found else header.strip()[:40]


def _first(parameters: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for given, value in parameters if given == name), "")


def _parameters(header: str) -> list[tuple[str, str]]:
    """The parameters of a header, their names in lower case."""
    start = _MEDIA_TYPE.match(header.lower())
    given = _PARAMETER.findall(header[start.end() if start else 0 :].lstrip("\"' "))[:_MAX_PARAMETERS]
    found = [(name.lower(), unquote(value.strip())) for name, value in given]
    try:
        joined: Sequence[tuple[str, Any]] = decode_params([("", ""), *found])[1:]
    except (TypeError, ValueError):  # the same parameter with and without a number
        joined = found
    return [(name, _value(value)) for name, value in joined]


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        charset, _, text = value
        return decode_text(unquote(text).encode("latin-1", "replace"), charset)
    return unquote(value)
