"""`GET /live`: the changes of the board as server-sent events, with the same filters as the page."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse
from starlette.responses import Response
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.problems import Problem, invalid_fields
from tocsin.validation import FieldError

from board.api.access import CurrentViewer, access_of
from board.api.board_query import Wanted
from board.api.html import PAGE_HEADERS
from board.api.page_route import page_router
from board.domain.board_filter import BoardFilter
from board.domain.live_position import LivePosition
from board.domain.viewer import Viewer
from board.errors import LoginRequiredError, TooManyWatchersError
from board.workers.live_updates import LiveUpdates

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS: Final = 10.0
"""Real seconds between two events, so that a client notices a dead connection, and a removed key ends the stream."""
_SEND_SECONDS: Final = 20.0
"""Real seconds after which a client that does not read is dropped. It reconnects and gets the changes since then."""
_FULL: Final = Problem(503, "Too many pages are open. Retry.", headers={"Retry-After": "10"})


def router(updates: LiveUpdates) -> APIRouter:
    """The route of the live updates."""
    routes = page_router()

    @routes.get("/live")
    async def get_live(
        request: Request,
        viewer: CurrentViewer,
        query: Wanted,
        after: Annotated[str, Query(max_length=50, description="The position of the page")],
        last_event_id: Annotated[str | None, Header(max_length=50)] = None,
    ) -> Response:
        position = _position(last_event_id or after)
        if updates.is_full(viewer):
            raise _FULL
        return EventSourceResponse(
            _events(request, updates, viewer, query.wanted(viewer.tenant), position),
            ping=0,  # our own heartbeat carries the time
            send_timeout=_SEND_SECONDS,
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": PAGE_HEADERS["X-Content-Type-Options"]},
        )

    return routes


async def _events(
    request: Request, updates: LiveUpdates, viewer: Viewer, wanted: BoardFilter, position: LivePosition
) -> AsyncIterator[bytes]:
    """The events of one watcher until it leaves, loses its access, or the process stops.

    The watcher is made here: a generator that was never started would not remove it.
    """
    try:
        watcher = await updates.watch(viewer, wanted, position)
    except TooManyWatchersError:
        return  # the last places were taken meanwhile; the client tries again
    except Exception as error:
        if not is_transient(error):
            raise
        log.warning("live_update_failed", error=repr(error))
        return  # the response has begun; the client tries again
    checked_at = time.monotonic()
    try:
        while not watcher.is_closed:
            yield b"".join(updates.take(watcher))
            if watcher.pending is None:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await watcher.woken.wait()
            if time.monotonic() - checked_at >= HEARTBEAT_SECONDS:  # also if changes keep coming
                checked_at = time.monotonic()
                if await access_of(request).viewer(request, counts=False) != viewer:
                    return
    except (LoginRequiredError, Problem):
        return
    finally:
        updates.leave(watcher)


def _position(text: str) -> LivePosition:
    try:
        return LivePosition.parse(text)
    except ValueError as error:
        raise invalid_fields([FieldError(field="after", message=str(error))]) from None
