"""Whatever is delivered, an adapter reads it or says what is wrong with it; and what it reads can be taken in."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.create_ticket import opening
from intake.domain.webhooks.snapshot import DeliveryContent, TicketSnapshot, UnreadableError
from intake.domain.webhooks.update import UnmappedError, shown
from pydantic import ValidationError
from support.search_budget import tries
from support.webhook_mutations import mutated_delivery
from support.webhook_recordings import PROVIDERS, shipped

NOW = datetime(2026, 6, 10, tzinfo=UTC)


def _sound(sighting: TicketSnapshot) -> None:
    """What is read can be stored and is what a sighting promises."""
    assert sighting.external_id
    for name in sighting.__slots__:
        value = getattr(sighting, name)
        if isinstance(value, datetime):
            assert value.tzinfo is UTC
            assert value.year >= 1990
        if isinstance(value, str):
            assert "\x00" not in value
            value.encode()
    assert 0 <= sighting.sequence < 1 << 63


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=tries(100))
@given(seed=st.integers(0, 1 << 60))
def test_an_adapter_reads_a_delivery_or_says_what_is_wrong(provider: str, seed: int) -> None:
    integration = shipped(provider)
    body = mutated_delivery(Random(seed), provider)
    delivered, problem = _read(body, integration)
    assert str((delivered, problem)) == str(_read(body, integration))
    for ticket in delivered.tickets if delivered else ():
        if isinstance(ticket, UnreadableError):
            _can_be_told(ticket)
    for sighting in delivered.sightings if delivered else ():
        _sound(sighting)
        try:
            seen = shown(sighting, integration, NOW, "1")
            opening(provider, sighting.external_id, [seen], integration, NOW, NOW)
        except (UnmappedError, ValidationError):
            continue


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=tries(80))
@given(body=st.binary(max_size=200))
def test_bytes_are_read_or_unreadable(provider: str, body: bytes) -> None:
    _read(body, shipped(provider))


def _read(body: bytes, integration: Integration) -> tuple[DeliveryContent | None, UnreadableError | None]:
    try:
        return ADAPTERS[integration.adapter].read(body, integration), None
    except UnreadableError as problem:
        _can_be_told(problem)
        return None, problem


def _can_be_told(problem: UnreadableError) -> None:
    assert problem.field
    str(problem).encode()
