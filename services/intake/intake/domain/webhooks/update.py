"""A ticket update: the state of a ticket at an instant, as one delivery states it, after mapping. Pure."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from pydantic import BaseModel, ConfigDict
from tocsin.events import Assignee, Category, Channel, Impact, Mailbox, Severity
from tocsin.instants import Instant

from intake.domain.webhooks.config.integrations import Status


class TicketCustomer(BaseModel):
    """A customer as the configuration or the tool names it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str


class TicketUpdate(BaseModel):
    """The mapped content of one delivery about one ticket; it is stored as JSON. None: the delivery does not state it.

    `at` is when the ticket was in this state: the tool's instant or the receipt, never later than the receipt.
    `seen_at` (the tool's instant as sent), `sequence` and `delivery_key` order the updates of a ticket. `created`: the
    tool created the ticket at that instant. `status` is never `ignored`; `tool_status` is the tool's word for it.
    `in_scope`: the ticket is in one of the configured queues. `impact` has the criteria that the delivery states.
    `unassigned`: the delivery states that nobody is assigned. `text_cleaned` as in `TicketSnapshot`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: Instant
    seen_at: Instant | None = None
    sequence: int = 0
    delivery_key: str = ""
    deleted: bool = False
    created: bool = False
    status: Status | None = None
    tool_status: str | None = None
    severity: Severity | None = None
    opened_at: Instant | None = None
    responded_at: Instant | None = None
    resolved_at: Instant | None = None
    actor: str | None = None
    in_scope: bool | None = None
    summary: str | None = None
    description: str | None = None
    customer: TicketCustomer | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    contact_phone: str | None = None
    services: tuple[str, ...] | None = None
    channel: Channel | None = None
    category: Category | None = None
    via: Mailbox | None = None
    it_contact: bool | None = None
    starts_at: Instant | None = None
    impact: Impact | None = None
    assignee: Assignee | None = None
    unassigned: bool = False
    text_cleaned: bool = False


OPENING_FIELDS: Final = (
    *("summary", "description", "customer", "contact_name", "contact_email", "contact_phone", "services"),
    *("channel", "category", "via", "it_contact", "starts_at", "text_cleaned"),
)
"""The fields of an update that matter only for opening the ticket."""


def sort_updates(updates: Iterable[TicketUpdate]) -> Sequence[TicketUpdate]:
    """The updates of a ticket in the order in which the tool was in these states; `at` never decreases.

    The tool's own clock decides the order, even where it is ahead of ours. At the same instant the creation comes first
    and the deletion last, since tools may count in seconds.
    """
    ordered = sorted(
        updates,
        key=lambda each: (each.seen_at or each.at, each.sequence, each.deleted - each.created, each.delivery_key),
    )
    latest = accumulate((update.at for update in ordered), max)
    return [update.model_copy(update={"at": at}) for update, at in zip(ordered, latest, strict=True)]
