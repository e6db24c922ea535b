"""The calls about dead letters, the same on every service."""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.instants import render_instant
from tocsin.runtime.database.dead_letters import DeadLetter, DeadLetterOrigin, DeadLetters
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.http.api_keys import ADMIN, Caller
from tocsin.runtime.http.app import require
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.record_headers import unpack

_LARGEST_ID: Final = (1 << 63) - 1

MayAdminister = Annotated[Caller, Depends(require(ADMIN))]


def dead_letter_routes(
    engine: AsyncEngine, dead_letters: DeadLetters, outbox: Outbox, consumer: Consumer | None
) -> APIRouter:
    """`GET /v1/dead-letters` and `POST /v1/dead-letters/{id}/replay`: of the caller's tenant, and of nobody known.

    `consumer` None: the service reads no topic.
    """
    router = APIRouter(prefix="/v1/dead-letters", tags=["admin"])

    @router.get("", summary="What could not be handled or published, oldest first")
    async def listed(
        caller: MayAdminister,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[int, Query(ge=0, le=_LARGEST_ID)] = 0,
        replayed: bool | None = False,
    ) -> JsonResponse:
        async with engine.connect() as connection:
            found = await dead_letters.list_page(
                connection, caller.tenant, after=cursor, limit=limit + 1, replayed=replayed
            )
        page = found[:limit]
        following = str(page[-1].id) if len(found) > limit else None
        return JsonResponse({"items": [_rendered(letter) for letter in page], "next_cursor": following})

    @router.post(
        "/{letter_id}/replay", summary="Handle or publish it again, and where order matters all that wait with it"
    )
    async def replay(letter_id: Annotated[int, Path(ge=1, le=_LARGEST_ID)], caller: MayAdminister) -> JsonResponse:
        async with engine.connect() as connection:
            letter = await dead_letters.load(connection, letter_id)
            beside = await dead_letters.load_queue(connection, letter) if letter is not None else []
        if letter is None or not all(one.is_visible_to(caller.tenant) for one in (letter, *beside)):
            raise Problem(404, "There is no dead letter with this id.")
        if letter.replayed_at is not None:
            raise Problem(409, "It was replayed already.")
        if letter.origin == DeadLetterOrigin.OUTBOX:
            await _put_back(letter)
            return JsonResponse({"replayed": 1})
        if consumer is None or letter.topic != consumer.topic:
            raise Problem(409, f"This service does not read {letter.topic} any more.")
        handled, fault = await consumer.replay(letter_id)
        if fault is not None:
            raise Problem(409, f"Replayed {handled}; the next one fails still: {fault}")
        return JsonResponse({"replayed": handled})

    async def _put_back(letter: DeadLetter) -> None:
        async with engine.begin() as connection:
            if await dead_letters.mark_replayed(connection, letter.id):
                await outbox.put_back(
                    connection, letter.partition, letter.key or b"", letter.headers, letter.value or b""
                )

    return router


def _rendered(letter: DeadLetter) -> dict[str, Any]:
    headers = {name: value.decode(errors="replace") for name, value in unpack(letter.headers)}
    return {
        "id": letter.id,
        "origin": letter.origin,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": (letter.key or b"").decode(errors="replace"),
        "type": headers.get("ce_type"),
        "headers": headers,
        "value_base64": b64encode(letter.value or b"").decode(),
        "value": (letter.value or b"").decode(errors="replace"),
        "reason": letter.reason,
        "created_at": _instant(letter.created_at),
        "replayed_at": _instant(letter.replayed_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else render_instant(at)
