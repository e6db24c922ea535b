"""`GET /on-call`: who is on call now and next, handovers, and vacancies ahead."""

import asyncio
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from board.api.access import CurrentViewer
from board.api.html import html_response, render
from board.api.page_route import page_router
from board.domain.on_call_view import on_call_view
from board.domain.time_words import PageTime

_NO_DIRECTORY: Final = "No usable directory is loaded, so nobody knows who is on call. Correct its file."


def router(file: DirectoryFile, clock: TimeSource, zone: ZoneInfo) -> APIRouter:
    """The route of the page. Each call uses the current directory."""
    routes = page_router()

    @routes.get("/on-call")
    async def get_on_call_page(viewer: CurrentViewer) -> Response:
        directory = file.current()
        if directory is None:
            raise Problem(503, _NO_DIRECTORY)
        time = PageTime(zone, clock.now())
        is_own = directory.tenant == viewer.tenant
        view = await asyncio.to_thread(on_call_view, directory, time, is_own=is_own)
        notes = await _notes(file) if is_own else ()
        text = render("on_call.html.j2", viewer=viewer, section="on-call", view=view, notes=notes)
        return html_response(text)

    return routes


async def _notes(file: DirectoryFile) -> tuple[str, ...]:
    """What is wrong with the file and its calendars."""
    return tuple((await file.note() or "").splitlines())
