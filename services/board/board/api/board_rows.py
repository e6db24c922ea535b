"""The rows of the board as HTML. Each is rendered once for all viewers, and again after a minute."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from tocsin.directory import Directory

from board.api.html import templates
from board.domain.board_ticket import BoardTicket, TicketGroup
from board.domain.ticket_row import ticket_row
from board.domain.time_words import PageTime

_MINUTE: Final = timedelta(minutes=1)
_MOST: Final = 50_000
"""Rows in memory. Beyond it, all are rendered again; otherwise closed tickets would stay forever."""

Key = tuple[int, TicketGroup, int, Directory | None]


class BoardRows:
    """Renders rows in one zone. `directory` says who holds a role."""

    def __init__(self, zone: ZoneInfo, directory: Callable[[], Directory | None]) -> None:
        self._zone = zone
        self._directory = directory
        self._rows: dict[UUID, tuple[Key, str]] = {}

    def render(self, found: BoardTicket, at: datetime) -> str:
        """The row at the instant, as HTML. The time left may be up to a minute old: the page computes it itself."""
        directory = self._directory()
        minute = (at - datetime.min.replace(tzinfo=at.tzinfo)) // _MINUTE
        key = (found.version, found.group(at), minute, directory)
        kept = self._rows.get(found.ticket_id)
        if kept is not None and kept[0][:3] == key[:3] and kept[0][3] is directory:
            return kept[1]

        def holder(role: str, customer_id: str, when: datetime) -> str | None:
            held = directory.holder(role, customer_id, when) if directory is not None else None
            return held.name if held is not None else None

        row = ticket_row(found, PageTime(self._zone, at), holder)
        html = str(templates().get_template("ticket_row.html.j2").render(row=row))
        if len(self._rows) >= _MOST:
            self._rows.clear()
        self._rows[found.ticket_id] = (key, html)
        return html
