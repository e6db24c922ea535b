"""Mutated deliveries: an adapter reads them or says what is wrong, and their tickets can be mapped or not."""

from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import NO_IT_CONTACTS, Integration
from intake.domain.webhooks.create_ticket import create_ticket
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


def read(body: bytes, integration: Integration) -> DeliveryContent:
    """The content of the delivery, with an error that concerns all of it as its only ticket."""
    try:
        return ADAPTERS[integration.adapter].read(body, integration)
    except UnreadableError as error:
        return DeliveryContent((error,))


def check_error(error: UnreadableError) -> None:
    assert error.field
    str(error).encode()
