"""What an integration would make of payloads, one after the other, as if they were all that is known. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tocsin.events import Fact, FactType
from tocsin.instants import render_instant

from intake.domain.facts import opening_fact
from intake.domain.ticket_request import EventRequest
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.create_ticket import opening, opening_severity
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.snapshot import TicketSnapshot, UnreadableError
from intake.domain.webhooks.update import TicketUpdate, UnmappedError, in_order, shown

Told = dict[str, Any]


class DryRun:
    """Deliveries of one tool that are tried and not stored; `received_at` stands for the receipt of all of them."""

    def __init__(self, integration: Integration, source: str, received_at: datetime) -> None:
        self._integration = integration
        self._source = source
        self._received_at = received_at
        self._seen: dict[str, list[TicketUpdate]] = {}
        self._facts: dict[str, list[Fact]] = {}
        self._delivered = 0

    def deliver(self, body: bytes) -> list[Told]:
        """What becomes of each ticket in it: the ticket that it opens, the events that it adds, or why it does not."""
        self._delivered += 1
        try:
            delivered = ADAPTERS[self._integration.adapter].read(body, self._integration)
        except UnreadableError as problem:
            return [{"unmapped": "unreadable", "detail": str(problem)}]
        if not delivered.tickets:
            return [{"ignored": delivered.about or "no ticket"}]
        return [self._look(sighting) for sighting in delivered.tickets]

    def _look(self, sighting: TicketSnapshot | UnreadableError) -> Told:
        if isinstance(sighting, UnreadableError):
            return {"unmapped": "unreadable", "detail": str(sighting)}
        key = sighting.external_id
        try:
            seen = self._seen.setdefault(key, [])
            seen.append(shown(sighting, self._integration, self._received_at, f"{self._delivered:09}"))
            if key in self._facts:
                told = {"external_id": key, "events": self._changed(key, seen)}
            else:
                told = self._opened(key, seen)
        except UnmappedError as problem:
            told = {"external_id": key, "unmapped": problem.reason, "detail": str(problem)}
        return told | ({"found_nothing": list(sighting.found_nothing)} if sighting.found_nothing else {})

    def _opened(self, key: str, seen: Sequence[TicketUpdate]) -> Told:
        live_since = self._integration.live_since or in_order(seen)[0].at
        item = opening(self._source, key, seen, self._integration, self._received_at, live_since)
        if item is None:
            return {"external_id": key, "ignored": "its queue does not count, or it was deleted before it was seen"}
        assert item.opened_at is not None  # an opening has its instant
        assert item.severity is not None  # and a severity
        opener = item.opened_by or self._source
        self._facts[key] = [opening_fact(item.severity, item.opened_at, self._received_at, opener)]
        self._add(key, item.events)
        ticket = item.model_dump(mode="json", exclude_none=True, exclude={"events", "default_flags"})
        ticket["opened_at"] = render_instant(item.opened_at)
        return {"ticket": ticket, "flags": list(item.default_flags), "events": [_event(event) for event in item.events]}

    def _changed(self, key: str, seen: Sequence[TicketUpdate]) -> list[Told]:
        opened_with = opening_severity(seen, self._integration)
        events = reconcile(seen, self._facts[key], actor=self._source, opened_with=opened_with)
        self._add(key, events)
        return [_event(event) for event in events]

    def _add(self, key: str, events: Sequence[EventRequest]) -> None:
        for event in events:
            told = event.model_dump(exclude={"event_id", "type"})
            self._facts[key].append(
                Fact(
                    number=len(self._facts[key]) + 1,
                    event_id=event.event_id or "",
                    type=FactType(event.type),
                    received_at=self._received_at,
                    **told,
                )
            )


def _event(event: EventRequest) -> Told:
    told = event.model_dump(mode="json", exclude_none=True)
    if event.occurred_at is not None:
        told["occurred_at"] = render_instant(event.occurred_at)
    return told
