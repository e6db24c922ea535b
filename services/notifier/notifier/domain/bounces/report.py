"""Reads a report: which mail it is about, and what happened to it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from itertools import islice
from typing import Final

from tocsin.characters import one_line

from notifier.domain.bounces.mail_part import MailPart, decode_words, read_mail
from notifier.domain.bounces.mail_server import is_automatic_reply, is_from_mail_server, other_kind, read_verdict
from notifier.domain.bounces.original_mail import is_returned, notice_of, read_original
from notifier.domain.bounces.recipient import (
    MAX_REPLY,
    BounceAction,
    ReportedRecipient,
    find_addresses,
    first_code,
    read_recipients,
)
from notifier.errors import BounceReportError, NoBounceError

_MAX_NOTICE: Final = 20_000
_MAX_ATTACHED: Final = 5
_MAX_LINE: Final = 200
_MAX_NAMED: Final = 10
_MAX_RECIPIENTS: Final = 1_000
_STATUS_FIELDS: Final = re.compile(r"^(?:final|original)-recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)
_LINE_BREAK: Final = re.compile(r"<(?:br|/?p|/?div|/tr|/li|/?pre|/h\d)\b[^<>]{0,500}>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[a-z!/][^<>]{0,2000}>", re.IGNORECASE)
_ENVELOPE: Final = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to")


@dataclass(frozen=True, slots=True)
class BounceReport:
    """`message_ids`: of the mail, with angle brackets, the most certain first; empty if the report has none.

    `sent_to`: the addresses to which the report itself came.
    """

    message_ids: tuple[str, ...]
    recipients: tuple[ReportedRecipient, ...]
    sent_to: tuple[str, ...]

    @property
    def message_id(self) -> str | None:
        return next(iter(self.message_ids), None)


@dataclass(frozen=True, slots=True)
class MailSummary:
    """What a list shows of a message, each on one line; None where it is missing."""

    sender: str | None
    subject: str | None
    message_id: str | None
    recipient: str | None


def read_report(raw: bytes) -> BounceReport:
    """The report in a raw message, or in a message that it attaches.

    Raises NoBounceError for a message that is plainly something else, and BounceReportError for any other.
    """
    message = read_mail(raw)
    try:
        return _read(message)
    except BounceReportError as error:
        for attached in _attached(message):
            try:
                return _read(attached)
            except BounceReportError:
                continue
        raise error from None


def summarise(raw: bytes) -> MailSummary:
    """What a list shows of a message, whatever it is."""
    message = read_mail(raw)
    texts = _texts(message)
    original = read_original(message, texts)
    reported = [each.addresses[0] for each in read_recipients(texts, BounceAction.FAILED)]
    recipients = [*reported, *_named(message, _notice(message, texts)), *original.recipients]
    return MailSummary(
        sender=one_line(decode_words(message.first("from")), _MAX_LINE) or None,
        subject=one_line(decode_words(message.first("subject")), _MAX_LINE) or None,
        message_id=one_line(next(iter(original.message_ids), ""), _MAX_LINE) or None,
        recipient=one_line(next(iter(recipients), ""), _MAX_LINE) or None,
    )


def _read(message: MailPart) -> BounceReport:
    if kind := other_kind(message):
        raise NoBounceError(kind)
    texts = _texts(message)
    notice = _notice(message, texts)
    is_servers = is_from_mail_server(message, notice)
    original = read_original(message, texts)
    verdict = read_verdict(notice)
    if statuses := _statuses(message, texts, is_servers=is_servers):
        recipients = tuple(islice(read_recipients(statuses, verdict), _MAX_RECIPIENTS)) or tuple(
            islice(read_recipients(statuses, None, nameless=original.recipients), 1)
        )
    elif is_servers and verdict:
        addresses = tuple(_named(message, notice)) or original.recipients
        recipients = (ReportedRecipient(addresses, verdict, _reply(notice)),) if addresses else ()
    elif is_automatic_reply(message, notice):
        raise NoBounceError("an automatic reply")
    else:
        raise BounceReportError(
            "Content-Type",
            f"is {one_line(message.type, 60)}, without a message/delivery-status, and no mail server says in the text "
            "that a mail failed or is delayed",
        )
    if not recipients:
        raise BounceReportError(
            "Final-Recipient", "is missing: the report names no recipient with an address and a known Action or Status"
        )
    envelope = ", ".join(value for name in _ENVELOPE for value in message.fields.get(name, ()))
    return BounceReport(original.message_ids, recipients, tuple(find_addresses(envelope[:_MAX_NOTICE])))


def _attached(message: MailPart) -> Sequence[MailPart]:
    """The messages that it attaches, and those that these attach."""
    direct = list(islice(message.attached(), _MAX_ATTACHED))
    return [*direct, *(inner for each in direct for inner in islice(each.attached(), 1))]


def _texts(message: MailPart) -> list[str]:
    """The text of each of its parts; empty for what is returned of a mail, and for what is not a text."""
    return [_text(part) for part in message.leaves()]


def _text(part: MailPart) -> str:
    if is_returned(part) or not part.type.startswith(("text/", "message/", "application/octet-stream")):
        return ""
    if part.type != "text/html":
        return part.text
    return unescape(_TAG.sub("", _LINE_BREAK.sub("\n", part.text)))


def _notice(message: MailPart, texts: Sequence[str]) -> str:
    """The subject and what follows it in words, without what is returned of the mail."""
    words = [decode_words(message.first("subject"))]
    for part, text in zip(message.leaves(), texts, strict=True):
        if is_returned(part):
            break
        if part.type.startswith("text/"):
            words.append(notice_of(text))
            if words[-1] != text:  # what follows belongs to the returned mail
                break
    return "\n".join(words)[:_MAX_NOTICE]


def _statuses(message: MailPart, texts: Sequence[str], *, is_servers: bool) -> list[str]:
    """The texts of its status parts (RFC 3464), also of those that are labelled as something else."""
    found = []
    for part, text in zip(message.leaves(), texts, strict=True):
        if part.type.endswith("delivery-status"):
            found.append(text)
        elif (is_servers or message.type == "multipart/report") and _STATUS_FIELDS.search(notice_of(text)):
            found.append(notice_of(text))
    return found


def _named(message: MailPart, notice: str) -> list[str]:
    """The addresses that may be the recipient's: those of X-Failed-Recipients, or those in the words of the server."""
    failed = find_addresses(message.first("x-failed-recipients"))
    if failed:
        return failed
    own = {
        address.lower()
        for name in ("from", "reply-to", "return-path", *_ENVELOPE)
        for address in find_addresses(message.first(name))
    }
    return [address for address in find_addresses(notice, _MAX_NAMED) if address.lower() not in own]


def _reply(notice: str) -> str:
    """The words of the server: the paragraph from its first code on, or else the beginning."""
    begin = first_code(notice)
    return one_line(notice[begin:].partition("\n\n")[0] if begin else notice, MAX_REPLY)
