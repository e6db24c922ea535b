"""Applies bounce reports of mail servers (RFC 3464, docs/decisions/0019). Never commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics
from notifier.domain.bounce_report import BounceAction, BounceReport, ReportedRecipient, read_report
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote, Now
from notifier.domain.message import smtp_address
from notifier.errors import BounceReportError, MailInTransitError, UnknownMessageError, UnmailableAddressError
from notifier.handlers.fallback import bounce
from notifier.store import deliveries, journal, notifications

log = structlog.get_logger(__name__)


class ReportResult(StrEnum):
    """What a report about one recipient changed."""

    BOUNCED = "bounced"
    """The mail did not arrive; its next address is tried."""
    NOTED = "noted"
    """It is recorded in the journal and changes nothing else."""
    UNMATCHED = "unmatched"
    """Noted: it failed at an address that we did not mail, and several of our mails have that Message-ID."""
    KNOWN = "known"
    """The same was reported before."""
    NOTHING = "nothing"
    """The mail arrived, as assumed."""


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What a report changed for one recipient."""

    recipient: str
    action: BounceAction
    result: ReportResult
    delivery_id: UUID


@dataclass(frozen=True, slots=True)
class BounceResult:
    """What a report changed, by recipient."""

    message_id: str
    recipients: tuple[RecipientResult, ...]


def parse_report(raw: bytes) -> BounceReport:
    """The report in a raw message. Raises BounceReportError."""
    try:
        return read_report(raw)
    except BounceReportError as error:
        metrics.REPORTS.labels("unreadable").inc()
        log.warning("report_unreadable", field=error.field, error=str(error))
        raise


async def apply_report(
    connection: AsyncConnection, clock: TimeSource, directory: Directory, report: BounceReport, tenant: str | None
) -> BounceResult:
    """Apply a report about a mail of this tenant (None: of any); repeating it changes nothing.

    Raises UnknownMessageError, and MailInTransitError while the mail is being handed over.
    """
    found = await deliveries.load_of_message(connection, report.message_id, tenant)
    if not found:
        metrics.REPORTS.labels("unknown").inc()
        log.warning("report_of_unknown_mail", message_id=report.message_id)
        raise UnknownMessageError(report.message_id)
    await notifications.lock_tickets(connection, {row.ticket_id for row in found})
    now = await deliveries.load_now(connection, clock)
    arrived = any(reported.action.is_arrival for reported in report.recipients)
    results: list[tuple[Delivery, RecipientResult]] = []
    for reported in report.recipients:
        rows = await deliveries.load_of_message(connection, report.message_id, tenant)
        named = next((row for row in rows if _is_about(reported, row.email)), None)
        result = await _apply(connection, directory, rows, named, reported, now, arrived=arrived)
        delivery = named or rows[-1]
        results.append((delivery, RecipientResult(reported.addresses[0], reported.action, result, delivery.id)))
    on_commit(connection, lambda: _count(results))
    return BounceResult(report.message_id, tuple(result for _, result in results))


async def _apply(
    connection: AsyncConnection,
    directory: Directory,
    rows: Sequence[Delivery],
    named: Delivery | None,
    reported: ReportedRecipient,
    now: Now,
    *,
    arrived: bool,
) -> ReportResult:
    """`rows` are the mail's deliveries to several addresses in turn; `named` is the one to the reported address."""
    if reported.action.is_arrival:
        return ReportResult.NOTHING
    delivery = named or rows[-1]
    reply = f"{reported.action} for {reported.addresses[0]}: {reported.reply}"
    # A forwarded mail fails at an address that we do not know. If it can only be one mail of ours, that one bounced.
    if reported.action == BounceAction.FAILED and (named or (len(rows) == 1 and not arrived)):
        if delivery.state == DeliveryState.BOUNCED:
            return ReportResult.KNOWN
        if await bounce(connection, directory, delivery, reported.reply if named else reply, now) is not None:
            return ReportResult.BOUNCED
        if delivery.state == DeliveryState.IN_DATA:  # the result of its attempt would overwrite `bounced`
            raise MailInTransitError
    for row in (delivery,) if named else rows:
        if _is_recorded(await journal.load_entries(connection, row.id), reply):
            return ReportResult.KNOWN
    noted = replace(delivery, reply=reply, changed_at=now.business)
    await journal.record(connection, [JournalEntry(noted, JournalNote.REPORTED)])
    unmatched = reported.action == BounceAction.FAILED and named is None and not arrived
    return ReportResult.UNMATCHED if unmatched else ReportResult.NOTED


def _is_recorded(entries: Sequence[journal.JournalRow], reply: str) -> bool:
    return any(row.entry in (JournalNote.REPORTED, DeliveryState.BOUNCED) and row.reply == reply for row in entries)


def _is_about(reported: ReportedRecipient, email: str | None) -> bool:
    """Servers write addresses in any case, and domains in ASCII or Unicode form."""
    return email is not None and _comparable(email) in map(_comparable, reported.addresses)


def _comparable(address: str) -> str:
    try:
        return smtp_address(address).casefold()
    except UnmailableAddressError:
        return address.casefold()


def _count(results: Iterable[tuple[Delivery, RecipientResult]]) -> None:
    for delivery, result in results:
        metrics.REPORTS.labels(result.result).inc()
        about = {"ticket_id": str(delivery.ticket_id), "delivery_id": str(delivery.id)}
        log.info("mail_reported", **about, action=result.action, result=result.result)
        if result.result == ReportResult.UNMATCHED:
            log.warning("report_matches_no_address", **about, address=result.recipient)
