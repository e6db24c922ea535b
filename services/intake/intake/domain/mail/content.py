"""What a part of a message is, by its Content headers (RFC 2045, 2183, 2231). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import decode_params, unquote
from typing import Any, Final

from intake.domain.mail.headers import LONGEST_NAME, MailHeaders, characters, decoded, one_line

_MOST_PARAMETERS: Final = 50
_MEDIA_TYPE: Final = re.compile(r"[^\s/;]+/[^\s/;]+")
_PARAMETER: Final = re.compile(r";\s*([^\s;=\"]+)\s*=\s*(\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|[^;\"]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PartHeaders:
    """`type` and `disposition` are in lower case; `boundary` is empty where it is no multipart, or one without."""

    type: str
    disposition: str
    encoding: str
    charset: str | None
    name: str
    boundary: bytes

    def octets(self, body: bytes) -> bytes:
        """The body without its transfer encoding; as it is where the encoding is wrong or unknown."""
        # The standard library knows how wrong these may be.
        message = Message()
        message["Content-Transfer-Encoding"] = self.encoding
        message.set_payload(body.decode("ascii", "surrogateescape"))
        payload = message.get_payload(decode=True)
        assert isinstance(payload, bytes)  # as it is of what is no multipart
        return payload


def content_of(headers: MailHeaders, usual: str) -> PartHeaders:
    """What the headers say of what follows them; `usual` is the media type where they give none."""
    kind, disposition = headers.first("Content-Type"), headers.first("Content-Disposition")
    given = kind.partition(";")[0].strip().lower() if kind else usual
    media_type = given if _MEDIA_TYPE.fullmatch(given) else "text/plain"
    parameters, others = _parameters(kind), _parameters(disposition)
    name = one_line(decoded(others.get("filename") or parameters.get("name") or media_type), LONGEST_NAME)
    boundary = parameters.get("boundary", "").rstrip() if media_type.startswith("multipart/") else ""
    return PartHeaders(
        type=media_type,
        disposition=disposition.partition(";")[0].strip().lower(),
        encoding=headers.first("Content-Transfer-Encoding").strip().lower()[:40],
        charset=parameters.get("charset"),
        name=name,
        boundary=boundary.encode(errors="replace"),
    )


def _parameters(header: str) -> dict[str, str]:
    """The parameters of a header by their names, in lower case; of several of one name the first."""
    found = [(name.lower(), unquote(value.strip())) for name, value in _PARAMETER.findall(header)[:_MOST_PARAMETERS]]
    try:
        together: Sequence[tuple[str, Any]] = decode_params([("", ""), *found])[1:]
    except (TypeError, ValueError):  # numbered and not at once
        together = found
    return {name: _value(value) for name, value in reversed(together)}


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        charset, _, text = value
        return characters(unquote(text).encode("latin-1", "replace"), charset)
    return unquote(value)
