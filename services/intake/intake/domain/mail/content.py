"""The text of a mail: which of its parts are shown, and which are attachments. Pure.

A multipart/alternative has the same text in several formats: one of its parts counts. In a multipart/related, the root
counts. Any other multipart is shown part by part. Text is text/plain or HTML; any other text/... (calendars, cards,
tables) is an attachment, so it never hides the sender's text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tocsin.characters import clean_block, one_line
from tocsin.mail import (
    MAX_NAME_LENGTH,
    MAX_PARTS,
    ContentHeaders,
    MessageOutline,
    MimePart,
    decode_text,
    split_uuencoded,
)

from intake.domain.mail.html_text import declared_charset, html_to_text
from intake.domain.mail.own_text import own_text

MAX_TEXT_LENGTH: Final = 9_000
_MAX_TEXT_BYTES: Final = 300_000
_MAX_SHORT_TEXT: Final = 500
_MAX_FORWARD_DEPTH: Final = 3
_MAX_FORWARDED: Final = 10
_MAX_HEADING: Final = 300
_PLAIN: Final = "text/plain"
_HTML: Final = "text/html"
_MARKUP: Final = frozenset({_HTML, "text/enriched", "text/richtext", "application/xhtml+xml"})
# A mail of one such part has no text; any other text/... would be read as plain text (RFC 2046, 4.1.4).
_DATA: Final = re.compile(r"text/(?:calendar|(?:x-)?vcard|x-vcalendar|directory|csv|.*xml|rfc822-headers|.*json)")
# They may hide a text that is not read, so the media type follows the name.
_OPAQUE: Final = re.compile(r"application/(?:(?:vnd\.)?ms-tnef|(?:x-)?pkcs7-.*|pgp-.*)")
_IS_HTML: Final = re.compile(r"\s*(?:<!doctype html|<html[\s>])", re.IGNORECASE)
_QUOTES: Final = re.compile(r">+")
_SIGNATURE: Final = "-- "


@dataclass(frozen=True, slots=True)
class MailContent:
    """`text` has at most MAX_TEXT_LENGTH characters; `attachments` are the names of the parts that are not shown."""

    text: str
    attachments: tuple[str, ...]


def read_content(message: MessageOutline) -> MailContent:
    """The text and attachments of a mail, with attached mails if the text is short or they have the same sender."""
    content = _Reader(_MAX_FORWARD_DEPTH).read(message)
    text = content.text if len(content.text) <= MAX_TEXT_LENGTH else content.text[: MAX_TEXT_LENGTH - 1] + "…"
    return MailContent(text, content.attachments[:MAX_PARTS])


@dataclass(frozen=True, slots=True)
class _PartText:
    """The texts and attachments of a part; `is_plain`: all texts are plain."""

    texts: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    is_plain: bool = True


class _Reader:
    """Reads the parts of one mail: at most the first _MAX_TEXT_BYTES bytes of its plain text, and of its HTML."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._left = {_PLAIN: _MAX_TEXT_BYTES, _HTML: _MAX_TEXT_BYTES}
        self._mails: list[MessageOutline] = []

    def read(self, message: MessageOutline) -> MailContent:
        found = self._read(message.root, is_only=True)
        texts = found.texts or self._unnamed_text(message.parts)
        text, attachments = _clean("\n".join(texts)), list(found.attachments)
        is_short = len(own_text(text)) <= _MAX_SHORT_TEXT
        sender = message.headers.addresses("From")[:1]
        # A spam filter sends its report in the name of the sender, and attaches the sender's mail.
        for mail in (mail for mail in self._mails if is_short or mail.headers.addresses("From")[:1] == sender):
            forwarded = _Reader(self._depth - 1).read(mail)
            attachments += forwarded.attachments
            if len(text) < MAX_TEXT_LENGTH:
                text = f"{text}\n\n{_heading(mail)}\n\n{forwarded.text}".strip()
        return MailContent(text, tuple(attachments))

    def _read(self, part: MimePart, *, is_only: bool = False) -> _PartText:
        if not part.parts:
            return self._read_leaf(part, is_only=is_only)
        if part.content.type == "multipart/alternative":
            return _alternative([self._read(child) for child in part.parts])
        if part.content.type == "multipart/related":
            root = part.content.root
            children = sorted(part.parts, key=lambda child: not root or child.content.id != root)
            return _first_with_text([(child.content.name, self._read(child)) for child in children])
        return self._sequence(part.parts)

    def _sequence(self, parts: Sequence[MimePart]) -> _PartText:
        texts: dict[str, str] = {}
        attachments: list[str] = []
        is_plain = True
        for part in parts:
            found = self._read(part)
            attachments += found.attachments
            # A named text after the first is a file, which some programs send as inline.
            if texts and found.texts and part.content.is_named:
                attachments.append(part.content.name)
                continue
            for text in found.texts:  # some programs send the same text twice, as plain text and as HTML
                texts.setdefault(" ".join(text.split()), text)
            is_plain = is_plain and found.is_plain
        return _PartText(tuple(texts.values()), tuple(attachments), is_plain)

    def _read_leaf(self, part: MimePart, *, is_only: bool) -> _PartText:
        content = part.content
        kind = _kind(content, is_only=is_only)
        if kind and content.disposition != "attachment":
            return self._text(content, part.body, kind)
        if content.type.startswith("multipart/") and not part.body:
            return _PartText()
        if self._depth and len(self._mails) < _MAX_FORWARDED and (mail := part.attached_mail()):
            self._mails.append(mail)
        is_opaque = content.is_named and _OPAQUE.fullmatch(content.type)
        return _PartText(attachments=(f"{content.name} ({content.type})" if is_opaque else content.name,))

    def _text(self, content: ContentHeaders, body: bytes, kind: str) -> _PartText:
        body = body[: self._left[kind]]
        self._left[kind] -= len(body)
        octets = content.decode(body)
        text = decode_text(octets, content.charset, declared_charset(octets) if kind == _HTML else None)
        names: Sequence[str] = ()
        if kind == _HTML or _IS_HTML.match(text):
            kind, text = _HTML, html_to_text(text)
        else:
            text, names = split_uuencoded(text.replace("\r\n", "\n").replace("\r", "\n"))
            text = _unwrapped(text, content) if content.is_flowed else text
        return _PartText(
            (text,) if text.strip() else (), tuple(one_line(name, MAX_NAME_LENGTH) for name in names), kind == _PLAIN
        )

    def _unnamed_text(self, parts: Sequence[MimePart]) -> tuple[str, ...]:
        """The first text that is sent as an attachment without a file name, for a mail without any other text."""
        for part in parts:
            if (kind := _kind(part.content, is_only=False)) and not part.content.is_named:
                return self._text(part.content, part.body, kind).texts
        return ()


def _unwrapped(text: str, content: ContentHeaders) -> str:
    """The text of a flowed part with each paragraph on one line (RFC 3676)."""
    lines: list[str] = []
    quotes, is_open = "", False
    for line in text.split("\n"):
        found = _QUOTES.match(line)
        depth = found[0] if found else ""
        words = line[len(depth) :].removeprefix(" ")
        is_signature = words == _SIGNATURE
        if is_open and depth == quotes and not is_signature:
            start = lines.pop()
            lines.append((start[:-1] if content.drops_spaces else start) + words)
        else:
            lines.append(f"{depth} {words}" if depth else words)
        quotes, is_open = depth, words.endswith(" ") and not is_signature
    return "\n".join(lines)


def _kind(content: ContentHeaders, *, is_only: bool) -> str | None:
    """Whether the part is plain text or HTML; None for any other."""
    if content.type in _MARKUP:
        return _HTML
    is_plain = content.type == _PLAIN or (
        is_only and content.type.startswith("text/") and not _DATA.fullmatch(content.type)
    )
    return _PLAIN if is_plain else None


def _alternative(found: Sequence[_PartText]) -> _PartText:
    """The plain text, or the HTML if most of its words are not in the plain text.

    Such a plain text says "Your program cannot show this mail", or is the footer of a mailing list, or is cut off.
    """
    plain = next((each for each in found if each.texts and each.is_plain), None)
    html = next((each for each in reversed(found) if each.texts and not each.is_plain), None)
    shown = plain or html or _PartText()
    if plain and html:
        words, known = " ".join(html.texts).split(), set(" ".join(plain.texts).split())
        shown = html if 2 * sum(word in known for word in words) < len(words) else plain
    return replace(shown, attachments=tuple(name for each in found for name in each.attachments))


def _first_with_text(found: Sequence[tuple[str, _PartText]]) -> _PartText:
    """The text of the first part with a text; the other parts are attachments."""
    shown = next((each for _, each in found if each.texts), _PartText())
    attachments = [[*each.attachments, *([name] if each.texts and each is not shown else [])] for name, each in found]
    return replace(shown, attachments=tuple(name for names in attachments for name in names))


def _heading(mail: MessageOutline) -> str:
    stated = {name: one_line(mail.headers.text(name), _MAX_HEADING) for name in ("From", "Subject")}
    lines = (f"{name}: {text}" for name, text in stated.items() if text)
    return "\n".join(["---------- Forwarded message ----------", *lines])


def _clean(text: str) -> str:
    return clean_block(text[: MAX_TEXT_LENGTH * 2]).strip()
