"""Response models of webhooks and mails, and the entries of `responses=` that document them."""

from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field
from tocsin.instants import Instant
from tocsin.runtime.http.openapi import link
from tocsin.runtime.http.responses import ResponseModel

from intake.handlers.deliveries import DeliveryResult
from intake.store.webhooks import DeliveryReason, WebhookDelivery, WebhookState

_BODY_LENGTH: Final = 2000
_REPLAY: Final = "POST /v1/hooks/unmapped/{delivery_id}/replay"
_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "id": 17,
            "provider": "connectwise",
            "received_at": "2026-06-08T12:00:00.000000Z",
            "reason": "unknown_status",
            "detail": "Unknown status `Parked`. Add it to `statuses`.",
            "body": '{"MessageId": "4f6a1c9e", "Action": "updated", "Type": "ticket", "ID": 1042}',
        }
    ],
    "next_cursor": None,
}


class WebhookResponse(ResponseModel):
    """The state of a delivery."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "taken", "delivery_id": 17}]})

    state: WebhookState | Literal["duplicate"]
    delivery_id: int | None = Field(None, description="Missing for a duplicate")
    reason: DeliveryReason | None = Field(None, description="Why it is unmapped, ignored or retried")
    detail: str | None = Field(None, description="What to correct, or the result of a mail")

    @classmethod
    def of(cls, result: DeliveryResult | None) -> Self:
        """The response for a result; None is a duplicate."""
        return cls(state="duplicate") if result is None else cls.model_validate(result)


class WebhookDeliveryResponse(ResponseModel):
    """A stored delivery that changed nothing so far."""

    id: int
    provider: str
    received_at: Instant
    reason: DeliveryReason | None = Field(
        description="Why it is unmapped, why the webhook is ignored, or by which sign a machine wrote the mail"
    )
    detail: str | None
    body: str = Field(description=f"Its first {_BODY_LENGTH} characters")

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> Self:
        body = delivery.body[: 4 * _BODY_LENGTH].decode(errors="replace")[:_BODY_LENGTH]
        return cls(
            id=delivery.id,
            provider=delivery.provider,
            received_at=delivery.received_at,
            reason=delivery.reason,
            detail=delivery.detail,
            body=body,
        )


class WebhookDeliveryListResponse(ResponseModel):
    """A page of deliveries, the oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    items: tuple[WebhookDeliveryResponse, ...]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one")


def delivery_responses(description: str) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that processes a delivery: 200 with that description, and 202."""
    waiting = {
        "state": "waiting",
        "delivery_id": 17,
        "reason": "failed",
        "detail": "The database is not available.",
    }
    replay = link(_REPLAY, "Replay it if it is unmapped", delivery_id="$response.body#/delivery_id")
    return {
        200: {"model": WebhookResponse, "description": description, "links": {"replay": replay}},
        202: {
            "model": WebhookResponse,
            "description": "Stored, but processing failed; it is retried",
            "content": {"application/json": {"example": waiting}},
        },
    }


UNMAPPED_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": WebhookDeliveryListResponse,
        "description": "A page of deliveries",
        "links": {"first": link(_REPLAY, "Replay the first one", delivery_id="$response.body#/items/0/id")},
    }
}
IGNORED_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": WebhookDeliveryListResponse, "description": "A page of deliveries"}
}
