"""`POST /v1/deliveries/{delivery_id}/redeliver`."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.directory import Directory
from tocsin.runtime.http.api_keys import ADMIN, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse
from tocsin.runtime.process.clock import TimeSource

from notifier.api.deliveries import delivery_id_of
from notifier.api.schemas import Delivery, delivery_answer
from notifier.domain.sanitize import one_line
from notifier.handlers.redelivery import Asked, redeliver, used_otherwise

MayAdminister = Annotated[Caller, Depends(require(ADMIN))]
_LONGEST = 200


def _told(text: str) -> str | None:
    return one_line(text, _LONGEST) or None


Line = Annotated[str, Field(max_length=_LONGEST), AfterValidator(_told)]
"""A string that may be left out, or blank, which is the same."""


class Asking(BaseModel):
    """Who asks and why; both may be left out, or blank."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"by": "Dana Whitfield", "reason": "she changed her mailbox"}]},
    )

    by: Line | None = Field(None, description="A name; the mail and the journal tell it beside the key's id")
    reason: Line | None = Field(None, description="Kept in the journal")


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key of the same caller for the same mail asks once, for ever; another body is 422",
    ),
]
_NOT_NOW = Problem(409, "This mail is deferred: it is still on its way. Wait for what becomes of delivery ...")


def add(
    routes: APIRouter,
    writer: AsyncEngine,
    clock: TimeSource,
    directory: Callable[[], Directory | None],
    wake: Callable[[], None],
) -> None:
    """Add the call; `wake` is called when a mail was queued."""

    @routes.post(
        "/deliveries/{delivery_id}/redeliver",
        summary="Send a mail once more",
        status_code=201,
        responses={
            201: {"model": Delivery, "description": "Queued"},
            200: {"model": Delivery, "description": "Asked for already, with this Idempotency-Key"},
            409: error_response("It is still on its way, or nobody needs it any more", _NOT_NOW),
            422: error_response(
                "Some fields are wrong, or this Idempotency-Key came with another body", used_otherwise()
            ),
        },
    )
    async def post_redeliver(
        delivery_id: str,
        caller: MayAdminister,
        asking: Annotated[Asking | None, Body()] = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JsonResponse:
        """A mail that was sent, refused, bounced or undeliverable goes out once more, to the person it was for.

        It is a delivery of its own, and its mail says that it is a redelivery, who asked and when.
        """
        found = delivery_id_of(delivery_id)
        key = f"key {caller.key_id}"
        asking = asking or Asking()
        asked = Asked(
            by=f"{asking.by} ({key})" if asking.by else key,
            reason=asking.reason,
            key=f"{caller.key_id}/{idempotency_key}" if idempotency_key else None,
        )
        async with writer.begin() as connection:
            done = await redeliver(connection, clock, directory(), caller.tenant, found, asked)
        wake()
        return JsonResponse(delivery_answer(done.delivery), 201 if done.created else 200)
