"""Processes payloads without storing anything, as if no ticket existed before. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tocsin.events import Fact
from tocsin.instants import render_instant

from intake.domain.facts import event_fact, opening_fact
from intake.domain.ticket_request import EventRequest
from intake.domain.webhooks.config.integrations import NO_IT_CONTACTS, Integration, ItContacts
from intake.domain.webhooks.create_ticket import create_ticket, opening_severity
from intake.domain.webhooks.delivery_reader import read_delivery
from intake.domain.webhooks.mapping import map_snapshot, unlisted_words
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.snapshot import TicketSnapshot
from intake.domain.webhooks.ticket_values import TicketValues
from intake.domain.webhooks.update import TicketUpdate, sort_updates
from intake.errors import UnmappedError, UnreadableError

_NOT_SHOWN: Final = {"events", "default_flags", "states_category"}
Result = dict[str, Any]
"""One ticket of a payload as JSON: `ticket` with `flags`, or `external_id`; then `events`, `unmapped` or `ignored`.

`found_nothing` lists what the mapping names and the payload does not have, `not_listed` the words without a meaning.
"""


class DryRun:
    """Processes payloads of one integration one after the other; `received_at` is the receipt of all of them.

    It has no policy, so a response of an automatic actor counts as a response.
    """

    def __init__(
        self, integration: Integration, source: str, received_at: datetime, it_contacts: ItContacts = NO_IT_CONTACTS
    ) -> None:
        self._integration = integration
        self._source = source
        self._it_contacts = it_contacts
        self._received_at = received_at
        self._updates: dict[str, list[TicketUpdate]] = defaultdict(list)
        self._facts: dict[str, list[Fact]] = {}
        self._values: dict[str, TicketValues] = {}
        self._deliveries = 0

    def deliver(self, body: bytes) -> list[Result]:
        """The result for each ticket of the payload."""
        self._deliveries += 1
        try:
            content = read_delivery(body, self._integration)
        except UnreadableError as error:
            return [_unreadable(error)]
        if content.ignored is not None:
            return [{"ignored": content.ignored, "detail": content.about}]
        return [
            _unreadable(ticket) if isinstance(ticket, UnreadableError) else self._process(ticket)
            for ticket in content.tickets
        ]

    def _process(self, snapshot: TicketSnapshot) -> Result:
        key = snapshot.external_id
        updates = self._updates[key]
        notes = {"found_nothing": snapshot.found_nothing}
        try:
            update = map_snapshot(
                snapshot,
                self._integration,
                received_at=self._received_at,
                delivery_key=f"{self._deliveries:09}",
            )
            updates.append(update)
            notes["not_listed"] = unlisted_words(snapshot, update)
            result = self._reconcile(key, updates) if key in self._facts else self._create(key, updates)
        except UnmappedError as error:
            result = {"external_id": key, "unmapped": error.reason, "detail": str(error)}
        return result | {name: list(found) for name, found in notes.items() if found}

    def _create(self, key: str, updates: Sequence[TicketUpdate]) -> Result:
        ticket = create_ticket(
            self._source,
            key,
            updates,
            self._integration,
            self._it_contacts,
            received_at=self._received_at,
            live_since=self._integration.live_since or sort_updates(updates)[0].at,
        )
        if isinstance(ticket, WebhookIgnoredReason):
            return {"external_id": key, "ignored": ticket}
        assert ticket.opened_at is not None  # `create_ticket` sets both
        assert ticket.severity is not None
        opener = ticket.opened_by or self._source
        self._facts[key] = [opening_fact(ticket.severity, ticket.opened_at, self._received_at, opener)]
        self._values[key] = TicketValues.of_body(ticket.model_dump(mode="json"))
        self._add(key, ticket.events)
        fields = ticket.model_dump(mode="json", exclude_none=True, exclude=_NOT_SHOWN)
        fields["opened_at"] = render_instant(ticket.opened_at)
        return {
            "ticket": fields,
            "flags": list(ticket.default_flags),
            "events": [_render(each) for each in ticket.events],
        }

    def _reconcile(self, key: str, updates: Sequence[TicketUpdate]) -> Result:
        opened_with = opening_severity(updates, self._integration)
        facts, values = self._facts[key], self._values[key]
        events = reconcile(updates, facts, actor=self._source, opened_with=opened_with, values=values)
        self._add(key, events)
        return {"external_id": key, "events": [_render(event) for event in events]}

    def _add(self, key: str, events: Sequence[EventRequest]) -> None:
        for event in events:
            number = len(self._facts[key]) + 1
            self._facts[key].append(event_fact(event, number, event.event_id or "", self._received_at))


def _unreadable(error: UnreadableError) -> Result:
    return {"unmapped": error.reason, "detail": str(error)}


def _render(event: EventRequest) -> Result:
    fields = event.model_dump(mode="json", exclude_none=True)
    if event.occurred_at is not None:
        fields["occurred_at"] = render_instant(event.occurred_at)
    return fields
