"""What attempts write while they run: one statement for many of them, with the locks that it needs.

A statement that waits for a lock sees the rows that it locks as they are afterwards, so a claim that was lost meanwhile
is noticed. Each is a transaction of its own, unless the caller has begun one. Nothing here commits.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import on_commit

from notifier import metrics
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry
from notifier.store.tables import OUTBOX


async def enter_data(connection: AsyncConnection, mails: Sequence[Sequence[Delivery]], lease: timedelta) -> list[bool]:
    """Move the deliveries of each mail to `in_data`, with a new lease, `message_id` and `late`, if all claims hold.

    Returns whether they did. If one was lost (it was cancelled, or another process has claimed it), the others are
    released: the message lists what is no longer needed. That was no attempt, although a server accepted the envelope:
    the message was not offered, and no server said that it must wait.
    """
    claims = [(number, delivery) for number, mail in enumerate(mails) for delivery in mail]
    parameters = {
        "mails": [number for number, _ in claims],
        "ids": [delivery.id for _, delivery in claims],
        "tokens": [delivery.token for _, delivery in claims],
        "message_ids": [delivery.message_id for _, delivery in claims],
        "lates": [delivery.late for _, delivery in claims],
        "lease": lease,
    }
    entered = set((await connection.execute(_ENTER_DATA, parameters)).scalars())
    return [number in entered for number in range(len(mails))]


async def release(connection: AsyncConnection, claims: Sequence[Delivery]) -> None:
    """Give up those of these claims that still hold, before anything was sent. They do not count as attempts."""
    parameters = {"ids": [delivery.id for delivery in claims], "tokens": [delivery.token for delivery in claims]}
    await connection.execute(_RELEASE, parameters)


async def finish(
    connection: AsyncConnection, ended: Sequence[Delivery], entries: Sequence[JournalEntry]
) -> tuple[set[UUID], bool]:
    """Save deliveries after their attempts, with journal entries and events, and wake others of their tickets.

    Returns the ids of those whose claims still held, and whether any was woken; nothing is written about the others.
    """
    parameters: dict[str, list[Any]] = {
        "ids": [delivery.id for delivery in ended],
        "tokens": [delivery.token for delivery in ended],
        "states": [delivery.state.value for delivery in ended],
        "ready_ats": [delivery.ready_at for delivery in ended],
        "changed_ats": [delivery.changed_at for delivery in ended],
        "sent_ats": [delivery.sent_at for delivery in ended],
        "sent_real_ats": [delivery.sent_real_at for delivery in ended],
        "ambiguous": [delivery.ambiguous for delivery in ended],
        "replies": [delivery.reply for delivery in ended],
    }
    events = [OUTBOX.row(entry.event) if entry.event else {} for entry in entries]
    parameters |= {
        "entry_ids": [entry.delivery.id for entry in entries],
        "entries": [entry.entry.value for entry in entries],
        "partitions": [event.get("partition") for event in events],
        "keys": [event.get("key") for event in events],
        "headers": [event.get("headers") for event in events],
        "values": [event.get("value") for event in events],
    }
    rows = (await connection.execute(_FINISH, parameters)).all()
    saved = {row.id for row in rows}
    written = [entry.entry for entry in entries if entry.delivery.id in saved]
    on_commit(connection, lambda: metrics.count_entries(written))
    return saved, any(row.woken for row in rows)


# The tickets are locked in the order of their ids, as everywhere; a delivery only with its ticket.
_HELD: Final = """
    held AS MATERIALIZED (
        SELECT deliveries.seq, deliveries.ticket_id, given.*
        FROM given
        JOIN deliveries ON deliveries.id = given.id AND deliveries.token = given.token
        JOIN tickets ON tickets.ticket_id = deliveries.ticket_id
        WHERE deliveries.state IN ({states})
        ORDER BY deliveries.ticket_id, deliveries.seq
        FOR UPDATE OF tickets, deliveries
    )"""
# As `Delivery.released`.
_RELEASED: Final = f"""
    state = '{DeliveryState.QUEUED}', ready_at = clock_timestamp(), attempts = deliveries.attempts - 1"""
_ENTER_DATA: Final = text(
    f"""
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:mails AS integer[]), CAST(:ids AS uuid[]), CAST(:tokens AS bigint[]),
            CAST(:message_ids AS text[]), CAST(:lates AS boolean[])
        ) AS given (mail, id, token, message_id, late)
    ), {_HELD.format(states=f"'{DeliveryState.CLAIMED}'")},
    complete AS (
        SELECT mail FROM given LEFT JOIN held USING (mail, id) GROUP BY mail HAVING count(*) = count(held.seq)
    ), released AS (
        UPDATE deliveries SET {_RELEASED}
        FROM held WHERE deliveries.seq = held.seq AND held.mail NOT IN (SELECT mail FROM complete)
    ), entered AS (
        UPDATE deliveries SET
            state = '{DeliveryState.IN_DATA}',
            ready_at = clock_timestamp() + CAST(:lease AS interval),
            message_id = held.message_id,
            late = held.late
        FROM held JOIN complete USING (mail) WHERE deliveries.seq = held.seq
        RETURNING held.mail, deliveries.seq, deliveries.id, deliveries.state, deliveries.attempts,
            deliveries.changed_at, deliveries.reply, deliveries.email
    ), recorded AS (
        INSERT INTO journal (delivery_id, entry, attempts, at, reply, email)
        SELECT id, state, attempts, changed_at, reply, email FROM entered ORDER BY seq
    )
    SELECT mail FROM entered
    """
)
_RELEASE: Final = text(
    f"""
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS bigint[])) AS given (id, token)
    ), {_HELD.format(states=f"'{DeliveryState.CLAIMED}'")}
    UPDATE deliveries SET {_RELEASED}
    FROM held WHERE deliveries.seq = held.seq
    """
)
# Deliveries that wait for another one of the ticket are woken as they are after the wait for the lock. One that was
# added during the wait is not seen, but looks again soon by itself (`delivery_order`).
_FINISH: Final = text(
    f"""
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:tokens AS bigint[]), CAST(:states AS text[]),
            CAST(:ready_ats AS timestamptz[]), CAST(:changed_ats AS timestamptz[]), CAST(:sent_ats AS timestamptz[]),
            CAST(:sent_real_ats AS timestamptz[]), CAST(:ambiguous AS boolean[]), CAST(:replies AS text[])
        ) AS given (id, token, state, ready_at, changed_at, sent_at, sent_real_at, ambiguous, reply)
    ), {_HELD.format(states=f"'{DeliveryState.CLAIMED}', '{DeliveryState.IN_DATA}'")},
    saved AS (
        UPDATE deliveries SET
            state = held.state,
            ready_at = held.ready_at,
            changed_at = held.changed_at,
            sent_at = held.sent_at,
            sent_real_at = held.sent_real_at,
            ambiguous = held.ambiguous,
            reply = held.reply
        FROM held WHERE deliveries.seq = held.seq
        RETURNING deliveries.id, deliveries.ticket_id, deliveries.attempts, deliveries.changed_at, deliveries.reply,
            deliveries.email
    ), lines AS (
        SELECT saved.*, line.* FROM unnest(
            CAST(:entry_ids AS uuid[]), CAST(:entries AS text[]), CAST(:partitions AS smallint[]),
            CAST(:keys AS bytea[]), CAST(:headers AS bytea[]), CAST(:values AS bytea[])
        ) WITH ORDINALITY AS line (delivery_id, entry, partition, key, headers, value, number)
        JOIN saved ON saved.id = line.delivery_id
    ), recorded AS (
        INSERT INTO journal (delivery_id, entry, attempts, at, reply, email, event)
        SELECT delivery_id, entry, attempts, changed_at, reply, email, value FROM lines ORDER BY number
    ), published AS (
        INSERT INTO outbox (partition, key, headers, value)
        SELECT partition, key, headers, value FROM lines WHERE value IS NOT NULL ORDER BY number
    ), woken AS (
        UPDATE deliveries SET ready_at = clock_timestamp()
        WHERE ticket_id IN (SELECT ticket_id FROM saved)
            AND state = '{DeliveryState.QUEUED}' AND ready_at > clock_timestamp()
        RETURNING 1
    )
    SELECT id, EXISTS (SELECT FROM woken) AS woken FROM saved
    """
)
