"""The request and response models of outgoing webhooks."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from tocsin.events import UuidInput
from tocsin.instants import Instant
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.responses import ResponseModel
from tocsin.yaml_document import Identifier

from board.domain.webhooks.delivery import OutgoingState
from board.domain.webhooks.occurrence import WebhookEvent
from board.store.webhook_deliveries import WebhookFilter

_EXAMPLE: Final[dict[str, Any]] = {
    "id": "6f1f4b0e-8d0c-5a5e-9a53-0d3c6f6a3b7e",
    "endpoint": "psa",
    "ticket_id": "1f2179db-15df-5301-954e-79cce3c08d79",
    "event": "breached",
    "event_id": "dccd7fe6-0a9f-50e4-af2a-ca3f4d3481f9",
    "at": "2026-06-09T13:00:00.000000Z",
    "state": "delivered",
    "attempts": 1,
    "queued_at": "2026-06-09T13:00:00.214000Z",
    "next_attempt_at": None,
    "finished_at": "2026-06-09T13:00:00.561000Z",
    "status": 204,
    "problem": None,
}
_ATTEMPT: Final[dict[str, Any]] = {
    "number": 1,
    "started_at": "2026-06-09T13:00:00.322000Z",
    "ended_at": "2026-06-09T13:00:00.561000Z",
    "status": 204,
    "problem": None,
    "response": "",
}


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]}, validate_by_name=True)


class WebhookListRequest(BaseModel):
    """Filters, all of which must match, and the page."""

    model_config = ConfigDict(frozen=True)

    endpoint: Identifier | None = Field(None, description="Only webhooks for this endpoint", examples=["psa"])
    state: OutgoingState | None = Field(None, description="Only webhooks in this state")
    ticket_id: UuidInput | None = Field(None, description="Only webhooks about this ticket")
    limit: Annotated[int, Field(ge=1, le=500), DIGITS] = Field(100, description="The size of the page")
    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = Field(
        None, description="`next_cursor` of the previous page"
    )

    def filter(self, tenant: str) -> WebhookFilter:
        """The filter for the tenant's webhooks."""
        return WebhookFilter(
            tenant=tenant,
            endpoint=self.endpoint,
            state=self.state,
            ticket_id=self.ticket_id,
            after=int(self.cursor or 0),
        )


WebhookListQuery = Annotated[WebhookListRequest, Query()]


class OutgoingWebhookResponse(ResponseModel):
    """One event for one endpoint. `at` is business time, all other instants are real time."""

    model_config = _example(_EXAMPLE)

    id: UUID = Field(validation_alias="delivery_id", description="The webhook-id, the same in every attempt")
    endpoint: str = Field(description="The endpoint's `id` in webhooks.yaml")
    ticket_id: UUID
    event: WebhookEvent
    event_id: UUID
    at: Instant
    state: OutgoingState
    attempts: int = Field(description="How many attempts have started")
    queued_at: Instant
    next_attempt_at: Instant | None = Field(
        validation_alias="ready_at", description="The next attempt, or the end of the lease of one in progress"
    )
    finished_at: Instant | None
    status: int | None = Field(description="The status of the last response; null: there was none")
    problem: str | None = Field(description="Why the last attempt has no response, or why it was not sent")


class WebhookAttemptResponse(ResponseModel):
    """One attempt. `ended_at` is null while it is in progress, or if it was interrupted and repeated."""

    number: int
    started_at: Instant
    ended_at: Instant | None
    status: int | None
    problem: str | None
    response: str | None = Field(description="The first 1,000 bytes of the response's body")


class OutgoingWebhookDetailResponse(OutgoingWebhookResponse):
    """A webhook with its body as it is sent, and its attempts, the first one first."""

    model_config = _example(_EXAMPLE | {"body": '{"type":"sla.breached"}', "journal": [_ATTEMPT]})

    body: str
    journal: tuple[WebhookAttemptResponse, ...]


class OutgoingWebhookListResponse(ResponseModel):
    """A page of webhooks. `next_cursor` is null on the last page."""

    model_config = _example({"items": [_EXAMPLE], "next_cursor": "1"})

    items: tuple[OutgoingWebhookResponse, ...]
    next_cursor: str | None
