"""A page of decided clocks as JSON data. Plain data: validating a model for each would double the time."""

import re
from collections.abc import AsyncIterator
from typing import Final, cast, get_args
from uuid import UUID

import orjson
from tocsin.business_time import SECOND, micros, to_datetime
from tocsin.events import ClockName
from tocsin.instants import render_instant
from tocsin.runtime.http.responses import PAGE_BYTES

from sla_timer.domain.decided_clock import DecidedClock, OutcomeKey
from sla_timer.domain.ledger import account
from sla_timer.domain.timeline_json import JsonObject, clock_json

_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CURSOR: Final = rf"^([0-9]{{1,16}})\.({_UUID})\.([0-9]{{1,9}})\.({'|'.join(get_args(ClockName))})$"
LEDGER_LIMIT: Final = 60
"""The most intervals of a clock in a list. The ledger of the ticket has more."""


def parse_cursor(text: str) -> OutcomeKey:
    """The outcome after which a page begins. Raises ValueError."""
    matched = re.fullmatch(CURSOR, text, re.ASCII)
    if matched is None:
        raise ValueError("is not a cursor of this list")
    at, ticket_id, cycle, clock = matched.groups()
    return OutcomeKey(to_datetime(int(at)), UUID(ticket_id), int(cycle), cast("ClockName", clock))


async def outcome_page(found: AsyncIterator[DecidedClock], limit: int, *, with_ledger: bool) -> JsonObject:
    """Items and next cursor of an OutcomeListResponse. `found` has a clock more than `limit` if a page follows."""
    items: list[JsonObject] = []
    size, last = 0, None
    async for one in found:
        item = _outcome_json(one, with_ledger=with_ledger)
        size += len(orjson.dumps(item))
        if len(items) == limit or (items and size > PAGE_BYTES):
            assert last is not None
            return {"items": items, "next_cursor": _cursor(last)}
        items.append(item)
        last = one.stored.key
    return {"items": items, "next_cursor": None}


def _outcome_json(one: DecidedClock, *, with_ledger: bool) -> JsonObject:
    ticket, stored, target = one.ticket, one.stored, one.clock.target
    body = clock_json(one.clock) | {
        "ticket_id": str(ticket.ticket_id),
        "source": ticket.source,
        "external_id": ticket.external_id,
        "summary": ticket.summary,
        "customer": {"id": ticket.customer.id, "name": ticket.customer.name},
        "channel": ticket.channel,
        "category": ticket.category,
        "severity": stored.severity,
        "outcome": stored.outcome,
        "outcome_at": render_instant(stored.key.outcome_at),
        "target": target.words,
        "target_seconds": target.due / SECOND,
        "measure": target.measure.name,
        "by_start": one.clock.by_start,
        "silent": one.silent,
        "paused_seconds": one.paused / SECOND,
        "outside_hours_seconds": one.outside_hours / SECOND,
        "closed_seconds": one.closed / SECOND,
        "historic": stored.historic,
        "voided": one.voided,
        "unconfirmed": one.unconfirmed,
    }
    if with_ledger:
        body["ledger"] = account(one.clock, one.excluded, LEDGER_LIMIT)
    return body


def _cursor(key: OutcomeKey) -> str:
    return f"{micros(key.outcome_at)}.{key.ticket_id}.{key.cycle}.{key.clock}"
