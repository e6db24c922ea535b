"""Applies bounce reports of mail servers to our deliveries (docs/decisions/0019, 0040). Never commits."""

from asyncio import to_thread
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.characters import one_line
from tocsin.directory import Directory
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.bounces import (
    BounceAction,
    BounceReport,
    ReportedMail,
    ReportedRecipient,
    is_about,
    read_report,
    summarise,
)
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote, Now
from notifier.domain.return_path import ReturnPath
from notifier.errors import BounceReportError, MailInTransitError, NoBounceError
from notifier.handlers.fallback import bounce
from notifier.store import deliveries, journal, notifications, reports, unmatched_reports
from notifier.store.unmatched_reports import UnmatchedReason, UnmatchedReport

log = structlog.get_logger(__name__)

_MAX_PROBLEM: Final = 400
_MAX_RECIPIENTS: Final = 20


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
    """The changes by a report, by recipient; for a digest, for each of its deliveries.

    `message_id` is the mail's; None if the mail is unknown. `unmatched` is the message as stored for people to read;
    None if everything was matched.
    """

    message_id: str | None
    recipients: tuple[RecipientResult, ...]
    unmatched: UnmatchedReport | None = None


async def apply_report(
    connection: AsyncConnection,
    clock: TimeSource,
    directory: Directory,
    return_path: ReturnPath | None,
    raw: bytes,
    tenant: str | None,
) -> BounceResult:
    """Apply the report in a raw message about a mail of this tenant (None: of any); repeating it changes nothing.

    `return_path` reads the address to which the report came; None if all mails have the same envelope sender.

    A digest is one mail with several deliveries, and a report about it concerns them all. A message that cannot be
    matched is kept. Raises MailInTransitError while the mail is being handed over.
    """
    try:
        report = await to_thread(read_report, raw)
    except NoBounceError as error:
        return await _keep(connection, tenant, raw, UnmatchedReason.NO_BOUNCE, f"The message {error}.")
    except BounceReportError as error:
        problem = f"Not a readable bounce report: {error.field} {error}."
        return await _keep(connection, tenant, raw, UnmatchedReason.UNREADABLE, problem)
    sent_for = return_path.find_delivery(report.sent_to) if return_path else None
    mail = await _load_mail(connection, report.message_ids, sent_for, tenant)
    if mail is None:
        return await _keep(connection, tenant, raw, UnmatchedReason.UNKNOWN, _describe_unknown(report))
    await notifications.lock_tickets(connection, {delivery.ticket_id for delivery in mail.deliveries})
    now = await deliveries.load_now(connection, clock)
    results = await _apply_to_mail(connection, directory, report.recipients, mail, tenant, now)
    kept = None
    if failed := next((each for each in results if each.result is ReportResult.UNMATCHED), None):
        problem = f"The report names {failed.recipient}, which we did not mail, and the mail went to several addresses."
        kept, _ = await _add(connection, tenant, raw, UnmatchedReason.UNMATCHED, problem)
    await reports.count(connection, Counter(result.result for result in results))
    return BounceResult(mail.deliveries[0].message_id, tuple(results), kept)


async def _load_mail(
    connection: AsyncConnection, message_ids: Sequence[str], sent_for: UUID | None, tenant: str | None
) -> ReportedMail | None:
    """The mail that a report is about; None if it is unknown.

    Of several Message-IDs the first known one counts; without any, the delivery to whose envelope sender it came.
    """
    rows = await deliveries.load_of_messages(connection, message_ids, tenant)
    of_ids = ([row for row in rows if row.message_id == message_id] for message_id in message_ids)
    if named := next((mail for mail in of_ids if mail), None):
        return ReportedMail(named, sent_for)
    delivery = await deliveries.load_delivery(connection, tenant, sent_for) if sent_for else None
    if delivery is None or delivery.message_id is None:
        return None
    return ReportedMail(await deliveries.load_of_messages(connection, [delivery.message_id], tenant), sent_for)


async def _apply_to_mail(
    connection: AsyncConnection,
    directory: Directory,
    recipients: Sequence[ReportedRecipient],
    mail: ReportedMail,
    tenant: str | None,
    now: Now,
) -> Sequence[RecipientResult]:
    """Apply what was reported about recipients of a mail, at most 20 of ours and 20 others. Its tickets are locked."""
    ours = [each for each in recipients if mail.went_to(each)]
    # Our mails have one recipient. Others in a report were reached after it, or are not ours.
    is_settled = bool(ours) or any(reported.action.is_arrival for reported in recipients)
    applied = {*ours[:_MAX_RECIPIENTS], *[each for each in recipients if each not in ours][:_MAX_RECIPIENTS]}
    message_ids = [str(mail.deliveries[0].message_id)]
    results: list[RecipientResult] = []
    for reported in (each for each in dict.fromkeys(recipients) if each in applied):
        mail = replace(mail, deliveries=await deliveries.load_of_messages(connection, message_ids, tenant))
        for delivery in mail.find(reported):
            possible = mail.find_possible(delivery.ticket_id)
            result = await _apply(connection, directory, delivery, possible, reported, now, is_settled=is_settled)
            address = str(delivery.email) if is_about(reported, delivery.email) else reported.addresses[0]
            results.append(RecipientResult(address, reported.action, result, delivery.id))
            about = {"ticket_id": str(delivery.ticket_id), "delivery_id": str(delivery.id)}
            log.info("mail_reported", **about, action=reported.action, result=result)
    return results


def _describe_unknown(report: BounceReport) -> str:
    if not report.message_ids:
        return "The report does not contain the Message-ID of a mail."
    return f"No mail has the Message-ID {', '.join(report.message_ids[:3])}."


async def _keep(
    connection: AsyncConnection, tenant: str | None, raw: bytes, reason: UnmatchedReason, problem: str
) -> BounceResult:
    """Keep a message that changed nothing, and count it the first time."""
    kept, is_new = await _add(connection, tenant, raw, reason, problem)
    if is_new:
        await reports.count(connection, {reason: 1})
    return BounceResult(None, (), kept)


async def _add(
    connection: AsyncConnection, tenant: str | None, raw: bytes, reason: UnmatchedReason, problem: str
) -> tuple[UnmatchedReport, bool]:
    problem = one_line(problem, _MAX_PROBLEM)
    summary = await to_thread(summarise, raw)
    added = await unmatched_reports.add(connection, tenant, raw, summary, reason, problem)
    report, is_new = added
    about = {"id": report.id, "sender": report.sender, "message_id": report.message_id, "recipient": report.recipient}
    if is_new and reason is not UnmatchedReason.NO_BOUNCE:
        log.warning("report_unmatched", reason=reason, problem=problem, **about)
    return added


async def _apply(
    connection: AsyncConnection,
    directory: Directory,
    delivery: Delivery,
    possible: Sequence[Delivery],
    reported: ReportedRecipient,
    now: Now,
    *,
    is_settled: bool,
) -> ReportResult:
    """Apply what was reported to one delivery. `possible`: those of its ticket that the report may be about.

    `is_settled`: the report names an address that we mailed, or says that the mail arrived somewhere.
    """
    if reported.action.is_arrival:
        return ReportResult.NOTHING
    is_named = is_about(reported, delivery.email)
    reply = f"{reported.action} for {reported.addresses[0]}: {reported.reply}"
    # A forwarded mail fails at an address that we do not know. If it can only be one mail of ours, that one bounced.
    if reported.action == BounceAction.FAILED and (is_named or (len(possible) == 1 and not is_settled)):
        if delivery.state == DeliveryState.BOUNCED:
            return ReportResult.KNOWN
        if await bounce(connection, directory, delivery, reported.reply if is_named else reply, now) is not None:
            return ReportResult.BOUNCED
        if delivery.state == DeliveryState.IN_DATA:  # the result of its attempt would overwrite `bounced`
            raise MailInTransitError
    for row in (delivery,) if is_named else possible:
        if _is_recorded(await journal.load_entries(connection, row.id), reply):
            return ReportResult.KNOWN
    noted = replace(delivery, reply=reply, changed_at=now.business)
    await journal.record(connection, [JournalEntry(noted, JournalNote.REPORTED)])
    unmatched = reported.action == BounceAction.FAILED and not is_named and not is_settled
    return ReportResult.UNMATCHED if unmatched else ReportResult.NOTED


def _is_recorded(entries: Sequence[journal.JournalRow], reply: str) -> bool:
    return any(row.entry in (JournalNote.REPORTED, DeliveryState.BOUNCED) and row.reply == reply for row in entries)
