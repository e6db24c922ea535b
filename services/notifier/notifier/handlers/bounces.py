"""What a mail server's report of a mail changes (RFC 3464): load, decide, save. Never commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.database.engine import clock_timestamp, on_commit
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import TimeSource
from tocsin.validation import FieldError

from notifier import metrics, store
from notifier.domain.bounces import NotAReport, Report, Reported, read_report
from notifier.domain.delivery import Noted, Stored
from notifier.domain.message import UnmailableAddress, wire_address
from notifier.handlers.fallback import bounce
from notifier.store import Line

log = structlog.get_logger(__name__)

Result = Literal["bounced", "noted", "unmatched", "known", "nothing"]
_ARRIVED: Final = ("delivered", "relayed", "expanded")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report about one recipient of `delivery`.

    `bounced`: the mail did not arrive, its next address is tried. `noted`: in the journal alone. `unmatched`: noted,
    since it failed for an address that we did not mail, and several of ours bore that Message-ID. `known`: the same was
    reported before. `nothing`: it arrived, as we believed.
    """

    delivery: Stored
    reported: Reported
    result: Result


def understood(raw: bytes) -> Report:
    """The report in a raw message. Raises Problem 422, which names what it lacks."""
    try:
        return read_report(raw)
    except NotAReport as error:
        metrics.REPORTS.labels("unreadable").inc()
        log.warning("report_not_understood", field=error.field, error=str(error))
        errors = [FieldError(field=error.field, message=str(error))]
        raise Problem(422, "This is no report of a mail server about a mail (RFC 3464).", errors=errors) from None


async def take_report(
    connection: AsyncConnection, clock: TimeSource, directory: Directory, report: Report, tenant: str | None
) -> list[Taken]:
    """Take in a report about a mail of this tenant (null: of any), once however often it comes.

    Raises Problem: 404 where no mail bore that Message-ID, 503 while an attempt at it has not ended.
    """
    found = await store.of_message(connection, report.message_id, tenant)
    if not found:
        metrics.REPORTS.labels("unknown").inc()
        log.warning("report_of_unknown_mail", message_id=report.message_id)
        raise Problem(404, f"No mail bore the Message-ID {report.message_id}.")
    await store.lock_tickets(connection, {row.ticket_id for row in found})
    arrived = any(reported.action in _ARRIVED for reported in report.recipients)
    taken = []
    for reported in report.recipients:
        rows = await store.of_message(connection, report.message_id, tenant)
        taken.append(await _take(connection, clock, directory, rows, reported, arrived=arrived))
    on_commit(connection, lambda: _count(taken))
    return taken


async def _take(
    connection: AsyncConnection,
    clock: TimeSource,
    directory: Directory,
    rows: Sequence[Stored],
    reported: Reported,
    *,
    arrived: bool,
) -> Taken:
    """`rows`: one mail may have gone to several addresses in turn, each a delivery of its own."""
    named = next((row for row in rows if _names(reported, row.email)), None)
    row = named or rows[-1]
    told = f"{reported.action} for {reported.addresses[0]}: {reported.words}"
    if reported.action in _ARRIVED:
        return Taken(row, reported, "nothing")
    # A mail that was forwarded fails for an address that we do not know: it is ours that died, where there is but one.
    if reported.action == "failed" and (named or (len(rows) == 1 and not arrived)):
        if row.state == "bounced":
            return Taken(row, reported, "known")
        if await bounce(connection, clock, directory, row, reported.words if named else told) is not None:
            return Taken(row, reported, "bounced")
        if row.state == "in_data":  # what its attempt notes next would hide that it did not arrive
            raise Problem(503, "This mail is being handed over. Try again.", headers={"Retry-After": "10"})
    for each in (row,) if named else rows:
        if _was_told(await store.journal_of(connection, each.id), told):
            return Taken(row, reported, "known")
    noted = replace(row, reply=told, changed_at=clock.business(await clock_timestamp(connection)))
    await store.write(connection, [], [Noted(noted, "reported")])
    unmatched = reported.action == "failed" and named is None and not arrived
    return Taken(row, reported, "unmatched" if unmatched else "noted")


def _was_told(journal: Sequence[Line], words: str) -> bool:
    return any(line.entry in ("reported", "bounced") and line.reply == words for line in journal)


def _names(reported: Reported, email: str | None) -> bool:
    """Whether it is about this address of ours; servers write addresses in any case, domains in either form."""
    return email is not None and not {_plain(email)}.isdisjoint(map(_plain, reported.addresses))


def _plain(address: str) -> str:
    try:
        return wire_address(address).casefold()
    except UnmailableAddress:
        return address.casefold()


def _count(taken: Iterable[Taken]) -> None:
    for one in taken:
        metrics.REPORTS.labels(one.result).inc()
        about = {"ticket_id": str(one.delivery.ticket_id), "delivery_id": str(one.delivery.id)}
        log.info("mail_reported", **about, action=one.reported.action, result=one.result, words=one.reported.words)
        if one.result == "unmatched":
            log.warning("report_matches_no_address", **about, address=one.reported.addresses[0])
