"""Escalations of tickets: lock, load and save them, and record which events were handled.

The writes of a batch are few statements: at 50 deadlines a second, statements are what a batch costs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Acknowledgement, DeadlineEvent, Ticket, Tier
from tocsin.runtime.database.bulk import Write, among, execute

from escalator.domain.tiers import LadderRun, LadderStep, Notification, RunKey, TicketEscalation
from escalator.store.tables import HANDLED, LADDERS, NOTIFICATIONS, STEPS, TICKETS


async def record_handled(connection: AsyncConnection, events: Collection[DeadlineEvent]) -> set[UUID]:
    """Record events as handled, and return the ids of the new ones.

    Locks their tickets until the transaction ends, in the order of their ids, and stores new ones.
    """
    tickets: dict[UUID, Ticket] = {event.ticket_id: event.ticket for event in events}
    ticket_rows = [
        {
            "ticket_id": ticket_id,
            "tenant": ticket.tenant,
            "customer_id": ticket.customer.id,
            "customer_name": ticket.customer.name,
            "source": ticket.source,
            "external_id": ticket.external_id,
            "summary": ticket.summary,
        }
        for ticket_id, ticket in sorted(tickets.items())
    ]
    handled = [{"event_id": event.event_id, "ticket_id": event.ticket_id} for event in events]
    writes = [Write("insert_new", HANDLED, handled), Write("upsert", TICKETS, ticket_rows)]
    return {row.event_id for row in await execute(connection, writes)}


async def handled_events(
    connection: AsyncConnection, tenant: str, event_ids: Collection[UUID]
) -> set[tuple[UUID, UUID]]:
    """(ticket id, event id) of those of these events that were handled and are about a ticket of the tenant."""
    query = select(HANDLED.c.ticket_id, HANDLED.c.event_id).join(TICKETS, TICKETS.c.ticket_id == HANDLED.c.ticket_id)
    rows = await connection.execute(query.where(TICKETS.c.tenant == tenant, among(HANDLED.c.event_id, event_ids)))
    return {(row.ticket_id, row.event_id) for row in rows}


async def load_escalations(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, TicketEscalation]:
    """The escalation of each ticket; an empty one for a ticket that has none."""
    wanted = any_(literal(list(ticket_ids), ARRAY(Uuid)))
    steps: dict[tuple[UUID, RunKey], list[LadderStep]] = defaultdict(list)
    query = select(STEPS).where(STEPS.c.ticket_id == wanted).order_by(STEPS.c.tier["number"].as_integer())
    for row in await connection.execute(query):
        steps[row.ticket_id, RunKey(row.cycle, row.run)].append(_step(row))
    runs: dict[UUID, dict[RunKey, LadderRun]] = defaultdict(dict)
    for row in await connection.execute(select(LADDERS).where(LADDERS.c.ticket_id == wanted)):
        key = RunKey(row.cycle, row.run)
        runs[row.ticket_id][key] = _run(row, steps[row.ticket_id, key])
    notifications: dict[UUID, list[Notification]] = defaultdict(list)
    query = select(NOTIFICATIONS).where(NOTIFICATIONS.c.ticket_id == wanted).order_by(NOTIFICATIONS.c.position)
    for row in await connection.execute(query):
        notifications[row.ticket_id].append(_notification(row))
    return {ticket_id: TicketEscalation(runs[ticket_id], tuple(notifications[ticket_id])) for ticket_id in ticket_ids}


def save_escalations(before: Mapping[UUID, TicketEscalation], after: Mapping[UUID, TicketEscalation]) -> list[Write]:
    """Store the runs, steps and notifications of `after` that `before` lacks or has with another content."""
    changed = [
        (ticket_id, before[ticket_id].runs.get(run.key), run)
        for ticket_id, escalation in after.items()
        for run in escalation.runs.values()
        if before[ticket_id].runs.get(run.key) != run
    ]
    steps = [
        _step_row(ticket_id, run.key, step)
        for ticket_id, known, run in changed
        for step in run.steps
        if known is None or step not in known.steps
    ]
    notifications = [
        _notification_row(ticket_id, notification)
        for ticket_id, escalation in after.items()
        for notification in escalation.notifications
        if notification not in before[ticket_id].notifications
    ]
    return [
        Write("upsert", LADDERS, [_run_row(ticket_id, run) for ticket_id, _, run in changed]),
        Write("upsert", STEPS, steps),
        Write("upsert", NOTIFICATIONS, notifications),
    ]


def _run_row(ticket_id: UUID, run: LadderRun) -> dict[str, Any]:
    return {
        "ticket_id": ticket_id,
        "cycle": run.key.cycle,
        "run": run.key.run,
        "state": run.state,
        "kept": run.kept,
        "tier": run.tier,
        "tiers": _tiers_json(run.tiers),
        "held": run.held,
        "next_at": run.next_at,
        "exhausted": run.exhausted,
        "exhausted_at": run.exhausted_at,
        "skipped": _tiers_json(run.skipped),
        "ended_at": run.ended_at,
        "end_reason": run.end_reason,
        "severity": run.severity,
        "due_at": run.due_at,
        "acknowledgements": [acknowledgement.model_dump(mode="json") for acknowledgement in run.acknowledgements],
        "live": run.live,
    }


def _run(row: Row[Any], steps: Iterable[LadderStep]) -> LadderRun:
    return LadderRun(
        key=RunKey(row.cycle, row.run),
        kept=row.kept,
        tier=row.tier,
        tiers=_tiers(row.tiers),
        steps=tuple(steps),
        held=row.held,
        next_at=row.next_at,
        exhausted=row.exhausted,
        exhausted_at=row.exhausted_at,
        skipped=_tiers(row.skipped),
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        severity=row.severity,
        due_at=row.due_at,
        acknowledgements=tuple(map(Acknowledgement.model_validate, row.acknowledgements)),
        live=row.live,
    )


def _step_row(ticket_id: UUID, key: RunKey, step: LadderStep) -> dict[str, Any]:
    return {
        "ticket_id": ticket_id,
        "cycle": key.cycle,
        "run": key.run,
        "step": step.step,
        "tier": step.tier.model_dump(),
        "at": step.at,
        "reason": step.reason,
        "skipped": _tiers_json(step.skipped),
        "notification": step.notification,
        "voided": step.voided,
    }


def _step(row: Row[Any]) -> LadderStep:
    return LadderStep(
        step=row.step,
        tier=Tier.model_validate(row.tier),
        at=row.at,
        reason=row.reason,
        skipped=_tiers(row.skipped),
        notification=row.notification,
        voided=row.voided,
    )


def _notification_row(ticket_id: UUID, notification: Notification) -> dict[str, Any]:
    return {
        "id": notification.id,
        "ticket_id": ticket_id,
        "source": notification.source,
        "cycle": notification.key.cycle,
        "run": notification.key.run,
        "kind": notification.kind,
        "clock": notification.clock,
        "open": notification.open,
        "stood_down": notification.stood_down,
    }


def _notification(row: Row[Any]) -> Notification:
    return Notification(
        id=row.id,
        source=row.source,
        key=RunKey(row.cycle, row.run),
        kind=row.kind,
        clock=row.clock,
        open=row.open,
        stood_down=row.stood_down,
    )


def _tiers_json(tiers: Iterable[Tier]) -> list[dict[str, Any]]:
    return [tier.model_dump() for tier in tiers]


def _tiers(dumped: Iterable[Any]) -> tuple[Tier, ...]:
    return tuple(Tier.model_validate(tier) for tier in dumped)
