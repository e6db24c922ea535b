"""The structure of a mail (RFC 2046): its headers and its parts, found in one pass. Pure.

The standard library's parser checks every line against every enclosing boundary, which can take minutes for a crafted
mail. Here only the lines that begin with `--` are checked, each once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from tocsin.mail.content_headers import ContentHeaders, content_headers
from tocsin.mail.errors import UnreadableMailError
from tocsin.mail.headers import MailHeaders, read_headers, read_message_headers

MAX_PARTS: Final = 100
MAX_HEADERS: Final = 1_000
MAX_HEADER_BYTES: Final = 300_000
_MAX_HEADER_BYTES_OF_PART: Final = 8_000
_MAX_DEPTH: Final = 20
_MAX_DASH_LINES: Final = 30_000
_MAX_GUESSES: Final = 20
_MAIL_HEADERS: Final = frozenset({"from", "to", "date", "subject", "received", "message-id", "mime-version"})
_BEFORE_HEADERS: Final = re.compile(rb"\n(?:[\s\0]|\xef\xbb\xbf)*+(?:>*+From [^\n]*+\n){0,100}")
_DASHES: Final = re.compile(rb"\n--([^\n]{1,300})(?=\n|\Z)")
_CONTENT: Final = re.compile(rb"\n[ \t]*content-[a-z-]+[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MimePart:
    """A part. A multipart has `parts`; any other part has a `body`, still encoded, with line feeds only."""

    content: ContentHeaders
    body: bytes
    parts: tuple["MimePart", ...] = ()

    def leaves(self) -> Iterator["MimePart"]:
        """This part, or the parts in it that are not split further, in their order."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def attached_mail(self) -> "MessageOutline | None":
        """The mail that the part attaches; None if it attaches none, or one that cannot be read."""
        if not self.content.is_mail:
            return None
        try:
            mail = read_outline(self.content.decode(self.body))
        except UnreadableMailError:
            return None
        return None if _MAIL_HEADERS.isdisjoint(mail.headers.names()) else mail


@dataclass(frozen=True, slots=True)
class MessageOutline:
    """The headers of a mail, those of its content as stated, and the tree of parts. An attached mail is one part."""

    headers: MailHeaders
    content: ContentHeaders
    root: MimePart

    @property
    def parts(self) -> tuple[MimePart, ...]:
        """The parts that are not split further, in their order."""
        return tuple(self.root.leaves())


def read_outline(raw: bytes) -> MessageOutline:
    """The structure of a mail, with at most MAX_PARTS parts. Raises UnreadableMailError."""
    raw = _with_line_feeds(raw)
    before = _BEFORE_HEADERS.match(raw)
    begin = before.end() if before else 1
    found, start = read_message_headers(raw, begin, MAX_HEADER_BYTES)
    if start - begin >= MAX_HEADER_BYTES:
        raise UnreadableMailError(f"has headers of more than {MAX_HEADER_BYTES:,} bytes")
    if len(found) > MAX_HEADERS:
        raise UnreadableMailError(f"has more than {MAX_HEADERS:,} headers")
    content = content_headers(MailHeaders(found), "text/plain")
    root = _Splitter(raw, start).split(content)
    charset = next((part.content.charset for part in root.leaves() if part.content.charset), None)
    return MessageOutline(MailHeaders(found, charset), content, root)


@dataclass(frozen=True, slots=True)
class _OpenMultipart:
    content: ContentHeaders
    parts: list[MimePart] = field(default_factory=list)

    def close(self) -> MimePart:
        return MimePart(self.content, b"", tuple(self.parts))


class _Splitter:
    """Splits the body of a mail, from `start` on, into its parts."""

    def __init__(self, raw: bytes, start: int) -> None:
        self._raw = raw
        self._start = start
        self._dashes = list(islice(_DASHES.finditer(raw, start - 1), _MAX_DASH_LINES))
        lines = {_boundary(dashes) for dashes in self._dashes}
        self._lines = lines | {line.removesuffix(b"--") for line in lines}
        self._enclosing: list[_OpenMultipart] = []
        self._left = MAX_PARTS

    def split(self, content: ContentHeaders) -> MimePart:
        """The tree of the parts. A multipart that is not one is plain text."""
        body = self._raw[self._start :]
        opened = self._open(content, 0)
        if opened is None:
            decoded = content.decode(body) if _is_multipart(content) else body
            if decoded != body:  # some programs encode the whole multipart
                return _Splitter(_with_line_feeds(decoded), 1).split(replace(content, encoding=""))
            return MimePart(_as_text(content), body)
        self._enclosing.append(opened)
        self._read_parts()
        while len(self._enclosing) > 1:
            self._close_last()
        return opened.close() if opened.parts else MimePart(_as_text(content), body)

    def _read_parts(self) -> None:
        current: ContentHeaders | None = None
        start = self._start
        if _CONTENT.match(self._raw, start - 1):  # the first boundary is missing
            found, start = read_headers(self._raw, start, _MAX_HEADER_BYTES_OF_PART)
            current = content_headers(MailHeaders(found), "text/plain")
        for index, dashes in enumerate(self._dashes):
            depth, closes = self._find(_boundary(dashes))
            if depth is None or dashes.start() < start - 1:
                continue
            if current is not None:
                self._add(MimePart(current, self._raw[start : dashes.start()]))
                current = None
            if not self._left:
                return
            while len(self._enclosing) > max(1, depth + (not closes)):
                self._close_last()
            if closes:
                continue
            is_digest = self._enclosing[-1].content.type == "multipart/digest"
            found, start = read_headers(self._raw, dashes.end() + 1, _MAX_HEADER_BYTES_OF_PART)
            current = content_headers(MailHeaders(found), "message/rfc822" if is_digest else "text/plain")
            if len(self._enclosing) < _MAX_DEPTH:
                if opened := self._open(current, index + 1):
                    self._enclosing.append(opened)
                current = None if opened else _as_text(current)
        if current is not None:
            self._add(MimePart(current, self._raw[start:]))

    def _add(self, part: MimePart) -> None:
        self._enclosing[-1].parts.append(part)
        self._left -= 1

    def _close_last(self) -> None:
        last = self._enclosing.pop()
        self._enclosing[-1].parts.append(last.close())

    def _open(self, content: ContentHeaders, index: int) -> _OpenMultipart | None:
        """The multipart that begins before the dashes with this index; its boundary may have to be guessed."""
        if any(boundary in self._lines for boundary in content.boundaries):
            return _OpenMultipart(content)
        following = self._dashes[index : index + _MAX_GUESSES]
        if not _is_multipart(content):
            is_body_of_parts = following and not self._raw[self._start : following[0].start()].strip()
            if index or content.is_stated or not is_body_of_parts:
                return None
            content, following = replace(content, type="multipart/mixed"), following[:1]
        guessed = (_boundary(dashes) for dashes in following if _CONTENT.match(self._raw, dashes.end()))
        boundary = next((line for line in guessed if self._find(line)[0] is None), None)
        return None if boundary is None else _OpenMultipart(replace(content, boundaries=(boundary,)))

    def _find(self, line: bytes) -> tuple[int | None, bool]:
        """The depth of the multipart whose boundary this line is, and whether the line closes it."""
        for depth in reversed(range(len(self._enclosing))):
            boundaries = self._enclosing[depth].content.boundaries
            if line in boundaries:
                return depth, False
            if line.endswith(b"--") and line[:-2] in boundaries:
                return depth, True
        return None, False


def _with_line_feeds(raw: bytes) -> bytes:
    # A line feed first, so that a boundary in the first line has one before it too.
    return b"\n" + raw.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _boundary(dashes: re.Match[bytes]) -> bytes:
    """The line after its dashes, without white space, as some programs fold boundaries and add blanks."""
    return b"".join(dashes[1].split())


def _is_multipart(content: ContentHeaders) -> bool:
    return content.type.startswith("multipart/")


def _as_text(content: ContentHeaders) -> ContentHeaders:
    """The headers of a multipart without parts as those of plain text; any other headers as they are."""
    return replace(content, type="text/plain") if _is_multipart(content) else content
