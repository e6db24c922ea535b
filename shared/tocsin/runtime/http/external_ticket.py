"""The ticket that a route names by `/by-external/{source}/{external_id:path}`, with or without a path after it."""

from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Depends, Path, Request

_BEFORE: Final = "by-external"


async def _parse_external_ticket(
    request: Request,
    source: Annotated[str, Path(description="The tool's name, as in its tickets")],
    external_id: Annotated[str, Path(description="The ticket's id in that tool. Write a slash as `%2F`")],
) -> tuple[str, str]:
    """Source and external id, which may contain escaped slashes: the router has unescaped the path already."""
    segments = request.scope["raw_path"].decode().split("/")
    after = request.scope["route"].path.rpartition("}")[2].count("/")
    first = segments.index(_BEFORE) + 1 if _BEFORE in segments else len(segments)
    if len(segments) == first + 2 + after:
        return unquote(segments[first]), unquote(segments[first + 1])
    return source, external_id


ExternalTicket = Annotated[tuple[str, str], Depends(_parse_external_ticket)]
"""(source, external id). The ticket's id is `tocsin.events.ticket_id(tenant, *ticket)`."""
