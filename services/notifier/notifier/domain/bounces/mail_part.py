"""The parts of a message (RFC 2046), each with its fields and its decoded content. Pure.

The standard library's parser misreads what servers really send, such as an encoded status, and takes minutes for a
crafted message. Here each level of a message is searched once for its boundary.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from encodings import normalize_encoding
from encodings.aliases import aliases
from itertools import islice, pairwise
from typing import Final

from tocsin.characters import one_line

MAX_TEXT: Final = 100_000
"""How many characters of a part are read as text."""

_MAX_PARTS: Final = 100
_MAX_DEPTH: Final = 10
_MAX_FIELDS: Final = 100_000
_MAX_VALUE: Final = 4_000
_MAX_WORDS: Final = 1_000
_ATTACHED: Final = ("message/rfc822", "message/global")
_LINE_END: Final = re.compile(rb"\r+\n|\r")
_FIELD: Final = re.compile(r"^([!-9;-~]+)[ \t]*:((?:[^\n]|\n[ \t])*+)", re.MULTILINE)
_FIRST_FIELD: Final = re.compile(rb"(?:>?From [^\n]*\n)?[!-9;-~]+[ \t]*:")
_MEDIA_TYPE: Final = re.compile(r"\s*\"?([\w!#$&^.+-]+/[\w!#$&^.+-]+)")
_BOUNDARY: Final = re.compile(r"boundary\s*=\s*(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE)
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?((?:utf|iso|windows|cp|koi8|gb|big5|euc|shift)[\w-]{1,20})", re.I)
_KNOWN_CHARSETS: Final = {*aliases, *aliases.values()}
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=\s]")
_MESSAGE_FILE: Final = re.compile(r"name\s*=\s*(?:\"[^\"]{0,200}|[^\s;\"]{0,200})\.eml\b", re.IGNORECASE)
_DASHES: Final = re.compile(rb"^--([^\s-][^\n]{0,199})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MailPart:
    """A message, or a part of one. `fields`: its header by name in lower case, unfolded.

    `content` is decoded. `parts` are those of a multipart, or the message that it attaches.
    """

    fields: Mapping[str, Sequence[str]]
    type: str
    content: bytes
    parts: tuple["MailPart", ...] = ()

    def first(self, name: str) -> str:
        """The first field with that name in lower case; empty if there is none."""
        return next(iter(self.fields.get(name, ())), "")

    @property
    def text(self) -> str:
        """The beginning of its content as text."""
        content = self.content[:MAX_TEXT]
        named = _CHARSET.search(self.first("content-type"))
        charset = normalize_encoding(named[1]).lower() if named else ""
        return content.decode(charset, "replace") if charset in _KNOWN_CHARSETS else decode(content)

    def leaves(self) -> Iterator["MailPart"]:
        """Its parts that are not split further, in their order; an attached message is one."""
        if self.type.startswith("multipart/"):
            for part in self.parts:
                yield from part.leaves()
        else:
            yield self

    def attached(self) -> Iterator["MailPart"]:
        """The messages that it attaches, in their order."""
        for leaf in self.leaves():
            if leaf.type in _ATTACHED:
                yield from leaf.parts


def read_mail(raw: bytes) -> MailPart:
    """The message. Whatever is broken in it is read as text."""
    return _read(_LINE_END.sub(b"\n", raw), 0, "text/plain")


def read_fields(text: str) -> dict[str, list[str]]:
    """The fields at the beginning of a text, by their names in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(text[:_MAX_FIELDS]):
        found.setdefault(name.lower(), []).append(one_line(value[:_MAX_VALUE], _MAX_VALUE))
    return found


def decode_words(value: str) -> str:
    """The field with its encoded words (RFC 2047) decoded, if they can be."""
    try:
        return str(make_header(decode_header(value[:_MAX_WORDS])))
    except (HeaderParseError, LookupError, ValueError):
        return value


def decode(content: bytes) -> str:
    """The text of these bytes, as UTF-8 or else as Latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _read(raw: bytes, depth: int, default_type: str) -> MailPart:
    head, _, body = (b"", b"", raw[1:]) if raw.startswith(b"\n") else raw.partition(b"\n\n")
    if head and not _FIRST_FIELD.match(head):
        head, body = b"", raw
    fields = read_fields(decode(head[:_MAX_FIELDS]))
    kind = next(iter(fields.get("content-type", ())), "")
    named = _MEDIA_TYPE.match(kind)
    media_type = named[1].lower() if named else default_type
    if _MESSAGE_FILE.search(f"{kind} {next(iter(fields.get('content-disposition', ())), '')}"):
        media_type = "message/rfc822"
    if depth < _MAX_DEPTH and media_type.startswith("multipart/"):
        inner = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
        if parts := tuple(_read(part, depth + 1, inner) for part in _split(body, kind)):
            return MailPart(fields, media_type, body, parts)
    if media_type.startswith("multipart/"):  # without parts, or nested too deeply
        media_type = "text/plain"
    content = _decoded(body, next(iter(fields.get("content-transfer-encoding", ())), ""))
    is_attached = media_type in _ATTACHED and depth < _MAX_DEPTH
    attached = (_read(content.lstrip(b"\n"), depth + 1, "text/plain"),) if is_attached else ()
    return MailPart(fields, media_type, content, attached)


def _split(body: bytes, kind: str) -> Iterator[bytes]:
    """The parts between the boundaries; if the one in the header is wrong, the first line with dashes is it."""
    given = _BOUNDARY.search(kind)
    boundary = (given[1] or given[2]).encode() if given else b""
    lines = _boundaries(body, boundary)
    if not lines and (dashes := _DASHES.search(body)):
        lines = _boundaries(body, dashes[1].rstrip())
    for (_, end, closes), (following, _, _) in pairwise([*lines, (len(body) + 1, 0, True)]):
        if closes:
            return
        yield body[min(end + 1, len(body)) : max(following - 1, end + 1)]


def _boundaries(body: bytes, boundary: bytes) -> list[tuple[int, int, bool]]:
    """Where each line with this boundary begins and ends, and whether it closes the multipart."""
    line = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*$", re.MULTILINE)
    return [(at.start(), at.end(), at[1] is not None) for at in islice(line.finditer(body), _MAX_PARTS)]


def _decoded(body: bytes, encoding: str) -> bytes:
    """The body without its transfer encoding; unchanged if the encoding is wrong or unknown."""
    encoding = encoding.strip().lower()
    if encoding not in ("base64", "quoted-printable") or (encoding == "base64" and _NOT_BASE64.search(body, 0, 200)):
        return body
    message = Message()  # the standard library tolerates broken encodings
    message["Content-Transfer-Encoding"] = encoding
    message.set_payload(body.decode("ascii", "surrogateescape"))
    content = message.get_payload(decode=True)
    return _LINE_END.sub(b"\n", content) if isinstance(content, bytes) else body
