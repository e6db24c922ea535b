"""Applies bounce reports of mail servers (RFC 3464, docs/decisions/0019). Never commits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.bounce_report import BounceAction, ReportedRecipient, read_report
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote, Now
from notifier.domain.message import smtp_address
from notifier.errors import BounceReportError, MailInTransitError, UnknownMessageError, UnmailableAddressError
from notifier.handlers.fallback import bounce
from notifier.store import deliveries, journal, notifications, reports

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
    """What a report changed, by recipient; of a digest, for each of its deliveries."""

    message_id: str
    recipients: tuple[RecipientResult, ...]


async def apply_report(
    connection: AsyncConnection, clock: TimeSource, directory: Directory, raw: bytes, tenant: str | None
) -> BounceResult | BounceReportError | UnknownMessageError:
    """Apply the report in a raw message about a mail of this tenant (None: of any); repeating it changes nothing.

    A digest is one mail with several deliveries, and a report about it concerns them all. An error that no retry helps
    is returned, because the transaction counts it. Raises MailInTransitError while the mail is being handed over.
    """
    try:
        report = read_report(raw)
    except BounceReportError as error:
        log.warning("report_unreadable", field=error.field, error=str(error))
        await reports.count(connection, {"unreadable": 1})
        return error
    found = await deliveries.load_of_message(connection, report.message_id, tenant)
    if not found:
        log.warning("report_of_unknown_mail", message_id=report.message_id)
        await reports.count(connection, {"unknown": 1})
        return UnknownMessageError(report.message_id)
    await notifications.lock_tickets(connection, {row.ticket_id for row in found})
    now = await deliveries.load_now(connection, clock)
    arrived = any(reported.action.is_arrival for reported in report.recipients)
    results: list[RecipientResult] = []
    for reported in report.recipients:
        rows = await deliveries.load_of_message(connection, report.message_id, tenant)
        for delivery in _find_reported(reported, rows):
            same = [row for row in rows if row.ticket_id == delivery.ticket_id]
            result = await _apply(connection, directory, delivery, same, reported, now, arrived=arrived)
            results.append(RecipientResult(reported.addresses[0], reported.action, result, delivery.id))
            _log(delivery, results[-1])
    await reports.count(connection, Counter(result.result for result in results))
    return BounceResult(report.message_id, tuple(results))


def _find_reported(reported: ReportedRecipient, rows: Sequence[Delivery]) -> Sequence[Delivery]:
    """The mail's deliveries to the reported address; if there is none, those to the last address."""
    named = [row for row in rows if _is_about(reported, row.email)]
    return named or [row for row in rows if row.email == rows[-1].email]


async def _apply(
    connection: AsyncConnection,
    directory: Directory,
    delivery: Delivery,
    same: Sequence[Delivery],
    reported: ReportedRecipient,
    now: Now,
    *,
    arrived: bool,
) -> ReportResult:
    """Apply what was reported to one delivery. `same`: its mail's deliveries to several addresses in turn.

    `arrived`: the mail arrived at another address.
    """
    if reported.action.is_arrival:
        return ReportResult.NOTHING
    is_named = _is_about(reported, delivery.email)
    reply = f"{reported.action} for {reported.addresses[0]}: {reported.reply}"
    # A forwarded mail fails at an address that we do not know. If it can only be one mail of ours, that one bounced.
    if reported.action == BounceAction.FAILED and (is_named or (len(same) == 1 and not arrived)):
        if delivery.state == DeliveryState.BOUNCED:
            return ReportResult.KNOWN
        if await bounce(connection, directory, delivery, reported.reply if is_named else reply, now) is not None:
            return ReportResult.BOUNCED
        if delivery.state == DeliveryState.IN_DATA:  # the result of its attempt would overwrite `bounced`
            raise MailInTransitError
    for row in (delivery,) if is_named else same:
        if _is_recorded(await journal.load_entries(connection, row.id), reply):
            return ReportResult.KNOWN
    noted = replace(delivery, reply=reply, changed_at=now.business)
    await journal.record(connection, [JournalEntry(noted, JournalNote.REPORTED)])
    unmatched = reported.action == BounceAction.FAILED and not is_named and not arrived
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


def _log(delivery: Delivery, result: RecipientResult) -> None:
    about = {"ticket_id": str(delivery.ticket_id), "delivery_id": str(delivery.id)}
    log.info("mail_reported", **about, action=result.action, result=result.result)
    if result.result == ReportResult.UNMATCHED:
        log.warning("report_matches_no_address", **about, address=result.recipient)
