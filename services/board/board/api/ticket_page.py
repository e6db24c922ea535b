"""`GET /tickets/{ticket_id}`: what happened to a ticket, who was mailed and why, and what comes next."""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from tocsin.directory import Directory
from tocsin.events import parse_uuid
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import TimeSource

from board.api.access import CurrentViewer
from board.api.html import html_response, render
from board.api.page_route import page_router
from board.domain.ticket_links import TicketLinks
from board.domain.ticket_story import TicketStory
from board.domain.ticket_view import ticket_view
from board.domain.time_words import PageTime
from board.domain.viewer import Viewer
from board.errors import TicketNotOnBoardError
from board.handlers.ticket_page import TicketPages

_UNKNOWN: Final = Problem(404, "Unknown ticket. The board has no ticket with this id.")


def router(
    pages: TicketPages,
    clock: TimeSource,
    zone: ZoneInfo,
    directory: Callable[[], Directory | None],
    links: TicketLinks,
) -> APIRouter:
    """The route of the page."""
    routes = page_router()

    @routes.get("/tickets/{ticket_id}")
    async def get_ticket(viewer: CurrentViewer, ticket_id: str) -> Response:
        try:
            story = await pages.load(viewer.tenant, _id(ticket_id), directory())
        except TicketNotOnBoardError:
            raise _UNKNOWN from None
        time = PageTime(zone, clock.now())
        return html_response(await asyncio.to_thread(_render, story, time, viewer, links))

    return routes


def _id(text: str) -> UUID:
    """An invalid UUID is treated as not found. Raises Problem 404."""
    try:
        return parse_uuid(text)
    except ValueError:
        raise _UNKNOWN from None


def _render(story: TicketStory, time: PageTime, viewer: Viewer, links: TicketLinks) -> str:
    view = ticket_view(story, time, links.tool_page(story.ticket.ticket))
    return render("ticket.html.j2", viewer=viewer, section=None, view=view)
