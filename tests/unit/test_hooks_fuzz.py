"""Mutated deliveries: an adapter reads them or says what is wrong, and their tickets can be mapped or not."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.webhooks.config.integrations import NO_IT_CONTACTS, Integration
from intake.domain.webhooks.create_ticket import create_ticket
from intake.domain.webhooks.delivery_reader import read_delivery
from intake.domain.webhooks.mapping import map_snapshot
from intake.domain.webhooks.snapshot import DeliveryContent, TicketSnapshot
from intake.errors import UnmappedError, UnreadableError
from pydantic import ValidationError
from support.search_budget import tries
from support.webhook_mutations import mutated_delivery
from support.webhook_recordings import PROVIDERS, shipped

NOW = datetime(2026, 6, 10, tzinfo=UTC)


def check_snapshot(snapshot: TicketSnapshot) -> None:
    """Its instants are UTC, and its texts can be stored."""
    assert snapshot.external_id
    for name in snapshot.__slots__:
        value = getattr(snapshot, name)
        if isinstance(value, datetime):
            assert value.tzinfo is UTC
            assert value.year >= 1990
        if isinstance(value, str):
            assert "\x00" not in value
            value.encode()
    assert 0 <= snapshot.sequence < 1 << 63


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=tries(100))
@given(seed=st.integers(0, 1 << 60))
def test_a_mutated_delivery_is_read_and_mapped_or_rejected_with_a_reason(provider: str, seed: int) -> None:
    integration = shipped(provider)
    body = mutated_delivery(Random(seed), provider)
    content = read(body, integration)
    assert str(content) == str(read(body, integration))
    for ticket in content.tickets:
        if isinstance(ticket, UnreadableError):
            check_error(ticket)
            continue
        check_snapshot(ticket)
        with suppress(UnmappedError):
            update = map_snapshot(ticket, integration, received_at=NOW, delivery_key="1")
            with suppress(ValidationError):
                create_ticket(
                    provider,
                    ticket.external_id,
                    [update],
                    integration,
                    NO_IT_CONTACTS,
                    received_at=NOW,
                    live_since=NOW,
                )


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=tries(80))
@given(body=st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(provider: str, body: bytes) -> None:
    read(body, shipped(provider))


EVENTS: tuple[object, ...] = (
    "New Ticket Logged",
    "Client Updated",
    "ping",
    "webhook_disabled",
    "Deactivated",
    "ticket",
    "",
    None,
    7,
    [],
    {},
)
FIELDS = ("event", "type", "Type", "EntityType", "Action", "webhookEvent", "detail", "ticket", "Entity", "Fields", "id")
VALUES = st.one_of(
    st.sampled_from((*EVENTS, "zen:event-type:ticket.created", "jira:issue_updated")), st.text(max_size=9)
)


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=tries(80))
@given(data=st.dictionaries(st.sampled_from(FIELDS), VALUES), many=st.booleans())
def test_a_notice_is_ignored_with_a_reason_or_unmapped(provider: str, data: dict[str, object], many: bool) -> None:
    content = read(json.dumps([data, data] if many else data).encode(), shipped(provider))
    assert not content.snapshots


def read(body: bytes, integration: Integration) -> DeliveryContent:
    """The content of the delivery, with an error that concerns all of it as its only ticket.

    Without any ticket, it says why it is ignored and what it is about.
    """
    try:
        content = read_delivery(body, integration)
    except UnreadableError as error:
        return DeliveryContent((error,))
    assert bool(content.tickets) == (content.ignored is None)
    assert bool(content.tickets) == (not content.about)
    return content


def check_error(error: UnreadableError) -> None:
    assert error.field
    assert error.message
    str(error).encode()
