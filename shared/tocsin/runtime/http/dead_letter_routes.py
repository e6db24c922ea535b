"""`/v1/dead-letters`: list the records that could not be handled or published, read one, and replay them.

A record may have a megabyte, so the list shows only the beginning of each. `GET /v1/dead-letters/{id}` has the bytes.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.instants import Instant
from tocsin.runtime.database.dead_letters import DeadLetter, DeadLetterOrigin, DeadLetters
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.http.authentication import MayAdminister
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import ResponseModel, page_length
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.record_headers import header, unpack

_LARGEST_ID: Final = (1 << 63) - 1
_REPLAYED: Final = "The dead letter was already replayed."
_FIRST: Final = "$response.body#/items/0/id"
_REPLAY_LINK: Final = link("POST /v1/dead-letters/{letter_id}/replay", "Replay it", letter_id="$response.body#/id")
_LONGEST_EXCERPT: Final = 200
_LONGEST_REASON: Final = 300
_LONGEST_KEY: Final = 80
_EXAMPLE: Final[dict[str, Any]] = {
    "id": 7,
    "origin": "consumed",
    "topic": "tocsin.tickets.v1",
    "partition": 2,
    "offset": 4711,
    "key": "1f2179db-15df-5301-954e-79cce3c08d79",
    "type": "ticket.opened",
    "size": 2,
    "excerpt": "{}",
    "reason": "InvalidEventError: ticket.opened: ticket: is missing",
    "created_at": "2026-06-08T12:00:00.000000Z",
    "replayed_at": None,
}
_DETAIL_EXAMPLE: Final[dict[str, Any]] = _EXAMPLE | {"headers": {"ce_type": "ticket.opened"}, "value_base64": "e30="}


class DeadLetterResponse(ResponseModel):
    """A record that could not be handled or published. Texts are cut, and bytes that are not UTF-8 are replaced."""

    id: int
    origin: DeadLetterOrigin = Field(
        description="`consumed`: it could not be handled; `outbox`: it could not be published"
    )
    topic: str
    partition: int
    offset: int | None = Field(description="null for `outbox`")
    key: str
    type: str | None = Field(description="The event type, if the record names one")
    size: int = Field(description="Bytes of the record's value")
    excerpt: str = Field(description=f"The first {_LONGEST_EXCERPT} characters of the record's value")
    reason: str
    created_at: Instant | None
    replayed_at: Instant | None

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """The letter without its bytes."""
        return cls(**_summary(letter, longest_reason=_LONGEST_REASON))


class DeadLetterDetailResponse(DeadLetterResponse):
    """A dead letter with its whole reason, its headers and its bytes."""

    headers: dict[str, str]
    value_base64: str

    model_config = ConfigDict(json_schema_extra={"examples": [_DETAIL_EXAMPLE]})

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """The whole letter."""
        return cls(
            **_summary(letter, longest_reason=None),
            headers={name: value.decode(errors="replace") for name, value in unpack(letter.headers)},
            value_base64=b64encode(letter.value or b"").decode(),
        )


def _summary(letter: DeadLetter, *, longest_reason: int | None) -> dict[str, Any]:
    event_type = header(unpack(letter.headers), "ce_type")
    return {
        "id": letter.id,
        "origin": DeadLetterOrigin(letter.origin),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": _beginning(letter.key, _LONGEST_KEY),
        "type": None if event_type is None else _beginning(event_type, _LONGEST_KEY),
        "size": len(letter.value or b""),
        "excerpt": _beginning(letter.value, _LONGEST_EXCERPT),
        "reason": letter.reason[:longest_reason],
        "created_at": letter.created_at,
        "replayed_at": letter.replayed_at,
    }


def _beginning(octets: bytes | None, limit: int) -> str:
    """The first `limit` characters; one has at most four bytes."""
    return (octets or b"")[: 4 * limit].decode(errors="replace")[:limit]


class DeadLetterListResponse(ResponseModel):
    """A page of dead letters, oldest first. `next_cursor` is null on the last page."""

    items: tuple[DeadLetterResponse, ...]
    next_cursor: str | None

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE], "next_cursor": None}]})


class ReplayResponse(ResponseModel):
    """How many records were handled or published."""

    replayed: int

    model_config = ConfigDict(json_schema_extra={"examples": [{"replayed": 1}]})


LetterId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="The `id` of the dead letter"), DIGITS]


def _not_found() -> Problem:
    return Problem(404, "Dead letter not found.")


def dead_letter_routes(
    engine: AsyncEngine, dead_letters: DeadLetters, outbox: Outbox, consumers: Sequence[Consumer]
) -> APIRouter:
    """The three routes, for the dead letters of the caller's tenant and those without a known tenant."""
    router = APIRouter(prefix="/v1/dead-letters", tags=["admin"])
    links = {
        "first": link("GET /v1/dead-letters/{letter_id}", "Read the first one", letter_id=_FIRST),
        "replay": link("POST /v1/dead-letters/{letter_id}/replay", "Replay the first one", letter_id=_FIRST),
    }

    @router.get(
        "",
        summary="List dead letters",
        response_description="A page of dead letters",
        responses={200: {"links": links}},
    )
    async def list_dead_letters(
        caller: MayAdminister,
        limit: Annotated[int, Query(ge=1, le=500, description="The largest number of items per page"), DIGITS] = 100,
        cursor: Annotated[
            int, Query(ge=0, le=_LARGEST_ID, description="`next_cursor` of the previous page"), DIGITS
        ] = 0,
        replayed: Annotated[bool | None, Query(description="true: replayed ones only; empty: all")] = False,
    ) -> DeadLetterListResponse:
        """Records that could not be handled, and events that could not be published, oldest first.

        Each has the beginning of its value, its size and the reason. Request further pages with `next_cursor` until it
        is null.
        """
        async with engine.connect() as connection:
            found = await dead_letters.list_page(
                connection, caller.tenant, after=cursor, limit=limit + 1, replayed=replayed
            )
        items = tuple(map(DeadLetterResponse.of, found))
        length = page_length(items, limit)
        return DeadLetterListResponse(
            items=items[:length], next_cursor=str(items[length - 1].id) if len(items) > length else None
        )

    @router.get(
        "/{letter_id}",
        summary="Read a dead letter",
        response_description="The dead letter with its bytes",
        responses={200: {"links": {"replay": _REPLAY_LINK}}},
    )
    async def get_dead_letter(letter_id: LetterId, caller: MayAdminister) -> DeadLetterDetailResponse:
        """One dead letter with its headers and its bytes."""
        async with engine.connect() as connection:
            letter = await dead_letters.load(connection, letter_id)
        if letter is None or not letter.is_visible_to(caller.tenant):
            raise _not_found()
        return DeadLetterDetailResponse.of(letter)

    @router.post(
        "/{letter_id}/replay",
        summary="Replay a dead letter",
        response_description="How many were handled or published",
        responses={409: error_response("Already replayed, or it still fails", Problem(409, _REPLAYED))},
    )
    async def replay(
        letter_id: LetterId,
        caller: MayAdminister,
    ) -> ReplayResponse:
        """Handle or publish the record again, once its cause is fixed.

        Where order matters, all dead letters of the same ticket are replayed in order, up to the first that still
        fails.
        """
        async with engine.connect() as connection:
            letter = await dead_letters.load(connection, letter_id)
            queue = await dead_letters.load_queue(connection, letter) if letter is not None else []
        if letter is None or not all(each.is_visible_to(caller.tenant) for each in (letter, *queue)):
            raise _not_found()
        if letter.replayed_at is not None:
            raise Problem(409, _REPLAYED)
        if letter.origin == DeadLetterOrigin.OUTBOX:
            await _put_back(letter)
            return ReplayResponse(replayed=1)
        consumer = next((each for each in consumers if each.topic == letter.topic), None)
        if consumer is None:
            raise Problem(409, f"This service no longer reads {letter.topic}.")
        handled, failure = await consumer.replay(letter_id)
        if failure is not None:
            raise Problem(409, f"Replayed {handled}; the next still fails: {failure}")
        return ReplayResponse(replayed=handled)

    async def _put_back(letter: DeadLetter) -> None:
        async with engine.begin() as connection:
            if await dead_letters.mark_replayed(connection, letter.id):
                await outbox.put_back(
                    connection, letter.partition, letter.key or b"", letter.headers, letter.value or b""
                )

    return router
