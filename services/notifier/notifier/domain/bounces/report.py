"""Reads a report: which mail it is about, and what happened to it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

from tocsin.characters import one_line
from tocsin.mail import MailHeaders, MessageOutline, UnreadableMailError, read_outline

from notifier.domain.bounces.mail_server import (
    is_automatic_reply,
    is_from_mail_server,
    kind_of_other_message,
    read_verdict,
)
from notifier.domain.bounces.original_mail import notice_of, read_original
from notifier.domain.bounces.recipient import (
    MAX_REPLY,
    BounceAction,
    ReportedRecipient,
    find_addresses,
    find_code_line,
    read_recipients,
)
from notifier.domain.bounces.report_part import ReportPart, read_attached, read_parts
from notifier.errors import BounceReportError, NoBounceError

_MAX_NOTICE: Final = 20_000
_MAX_LINE: Final = 200
_MAX_NAMED: Final = 10
_MAX_RECIPIENTS: Final = 1_000
_STATUS_FIELDS: Final = re.compile(r"^(?:final|original)-recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)
_ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")


@dataclass(frozen=True, slots=True)
class BounceReport:
    """`message_ids`: of the mail, with angle brackets, the most certain first; empty if the report has none.

    `sent_to`: the addresses to which the report itself came.
    """

    message_ids: tuple[str, ...]
    recipients: tuple[ReportedRecipient, ...]
    sent_to: tuple[str, ...]


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
    try:
        message = read_outline(raw)
    except UnreadableMailError as error:
        raise BounceReportError("The message", str(error)) from None
    try:
        return _read(message)
    except BounceReportError as error:
        for attached in read_attached(message):
            try:
                return _read(attached)
            except BounceReportError:
                continue
        raise error from None


def summarise(raw: bytes) -> MailSummary:
    """What a list shows of a message, whatever it is."""
    try:
        message = read_outline(raw)
    except UnreadableMailError:
        return MailSummary(None, None, None, None)
    headers, parts = message.headers, read_parts(message)
    original = read_original(headers, parts, is_from_server=False)
    reported = [each.addresses[0] for each in read_recipients(_statuses(parts, is_report=True), BounceAction.FAILED)]
    recipients = [*reported, *_possible_recipients(headers, _notice(headers, parts)), *original.recipients]
    return MailSummary(
        sender=one_line(headers.text("From"), _MAX_LINE) or None,
        subject=one_line(headers.text("Subject"), _MAX_LINE) or None,
        message_id=one_line(next(iter(original.message_ids), ""), _MAX_LINE) or None,
        recipient=one_line(next(iter(recipients), ""), _MAX_LINE) or None,
    )


def _read(message: MessageOutline) -> BounceReport:
    if kind := kind_of_other_message(message):
        raise NoBounceError(kind)
    headers, parts = message.headers, read_parts(message)
    notice = _notice(headers, parts)
    is_from_server = is_from_mail_server(headers, notice)
    original = read_original(headers, parts, is_from_server=is_from_server)
    named = tuple(_possible_recipients(headers, notice)) or original.recipients
    # A message from the recipient's own address shows that the mail arrived.
    is_from_server = is_from_server and not set(named) & set(find_addresses(headers.first("From")))
    verdict = read_verdict(notice)
    media_type = message.root.content.type
    if statuses := _statuses(parts, is_report=is_from_server or media_type == "multipart/report"):
        recipients = tuple(islice(read_recipients(statuses, verdict), _MAX_RECIPIENTS)) or tuple(
            islice(read_recipients(statuses, None, nameless=original.recipients), 1)
        )
    elif is_from_server and verdict:
        recipients = (ReportedRecipient(named, verdict, _reply(notice)),) if named else ()
    elif is_automatic_reply(headers, notice):
        raise NoBounceError("an automatic reply")
    else:
        raise BounceReportError(
            "Content-Type",
            f"is {one_line(media_type, 60)}, without a message/delivery-status, and no mail server says in the text "
            "that a mail failed or is delayed",
        )
    if not recipients:
        raise BounceReportError(
            "Final-Recipient", "is missing: the report names no recipient with an address and a known Action or Status"
        )
    envelope = ", ".join(value for name in _ENVELOPE for value in headers.plain(name))
    return BounceReport(original.message_ids, recipients, tuple(find_addresses(envelope[:_MAX_NOTICE])))


def _notice(headers: MailHeaders, parts: Sequence[ReportPart]) -> str:
    """The subject and what follows it in words, without what is returned of the mail."""
    words = [headers.text("Subject")]
    for part in takewhile(lambda part: not part.is_returned, parts):
        if part.type.startswith("text/"):
            words.append(notice_of(part.text))
            if words[-1] != part.text:  # what follows belongs to the returned mail
                break
    return "\n".join(words)[:_MAX_NOTICE]


def _statuses(parts: Sequence[ReportPart], *, is_report: bool) -> list[str]:
    """The texts of the status parts (RFC 3464); in a report also of those that are labelled as something else."""
    found = []
    for part in parts:
        if part.type.endswith("delivery-status"):
            found.append(part.text)
        elif is_report and not part.is_returned and _STATUS_FIELDS.search(notice_of(part.text)):
            found.append(notice_of(part.text))
    return found


def _possible_recipients(headers: MailHeaders, notice: str) -> list[str]:
    """The addresses that may be the recipient's: those of X-Failed-Recipients, or those in the words of the server."""
    failed = find_addresses(headers.first("X-Failed-Recipients"))
    if failed:
        return failed
    own = {
        address.lower()
        for name in ("From", "Reply-To", "Return-Path", *_ENVELOPE)
        for address in find_addresses(headers.first(name))
    }
    return [address for address in find_addresses(notice, _MAX_NAMED) if address.lower() not in own]


def _reply(notice: str) -> str:
    """The words of the server: the paragraph from its first code on, or else the beginning."""
    begin = find_code_line(notice)
    return one_line(notice[begin:].partition("\n\n")[0] if begin else notice, MAX_REPLY)
