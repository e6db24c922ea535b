"""The use cases of stored deliveries: webhooks and mails. HTTP and the command line call the same ones."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.characters import one_line

from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.errors import UnmappedError
from intake.store.webhooks import DeliveryReason, WebhookDelivery, WebhookState, WebhookStore

_MAX_NAME_LENGTH: Final = 100
_MAX_DETAIL_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The state of a delivery; `reason` and `detail` say why it is unmapped, ignored or waits."""

    state: WebhookState
    delivery_id: int
    reason: DeliveryReason | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Deliveries, the oldest first. `next_cursor` is None on the last page."""

    items: list[WebhookDelivery]
    next_cursor: int | None


def unmapped_result(delivery: WebhookDelivery, error: UnmappedError) -> DeliveryResult:
    """The result of a delivery that the configuration does not cover."""
    return DeliveryResult(WebhookState.UNMAPPED, delivery.id, error.reason, one_line(str(error), _MAX_DETAIL_LENGTH))


def ignored_result(delivery: WebhookDelivery, reason: WebhookIgnoredReason, about: str | None) -> DeliveryResult:
    """The result of a webhook that changes nothing; `about` is its subject in the tool."""
    detail = one_line(about, _MAX_DETAIL_LENGTH) if about is not None else None
    return DeliveryResult(WebhookState.IGNORED, delivery.id, reason, detail)


async def list_deliveries(
    connection: AsyncConnection,
    state: WebhookState,
    tenant: str | None,
    reason: DeliveryReason | None = None,
    *,
    cursor: int,
    limit: int,
) -> DeliveryPage:
    """The deliveries in that state after the cursor. None selects all tenants or all reasons."""
    found = await WebhookStore(connection).list_in_state(state, tenant, reason, after=cursor, limit=limit + 1)
    return DeliveryPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


async def requeue_deliveries(
    connection: AsyncConnection,
    tenant: str | None,
    ids: Collection[int] | None = None,
    *,
    with_ignored: bool = False,
    provider: str | None = None,
    since: datetime | None = None,
) -> list[int]:
    """Let unmapped deliveries, and ignored ones if requested, be processed again; returns their ids.

    None selects all tenants, ids, providers and times of receipt.
    """
    states = [WebhookState.UNMAPPED, *([WebhookState.IGNORED] if with_ignored else [])]
    return await WebhookStore(connection).requeue(tenant, ids, states, provider=provider, since=since)


async def dismiss_deliveries(
    connection: AsyncConnection, tenant: str | None, ids: Collection[int], by: str
) -> list[int]:
    """Ignore unmapped deliveries from now on; returns their ids."""
    return await WebhookStore(connection).dismiss(tenant, ids, f"dismissed by {by[:_MAX_NAME_LENGTH]}")
