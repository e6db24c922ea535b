"""The ticket that a route names by `/by-external/{source}/{external_id:path}`, with or without a path after it."""

from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Depends, Path, Request

from tocsin.characters import ID_PATTERN, check_id
from tocsin.runtime.http.problems import invalid_fields
from tocsin.validation import FieldError

_BEFORE: Final = "by-external"
_PATTERN: Final = {"pattern": ID_PATTERN}


async def _parse_external_ticket(
    request: Request,
    source: Annotated[str, Path(description="The tool's name, as in its tickets", json_schema_extra=_PATTERN)],
    external_id: Annotated[
        str, Path(description="The ticket's id in that tool. Write a slash as `%2F`", json_schema_extra=_PATTERN)
    ],
) -> tuple[str, str]:
    """Source and external id, which may contain escaped slashes: the router has unescaped the path already.

    Raises Problem 422 for characters that no id contains.
    """
    segments = request.scope["raw_path"].decode().split("/")
    after = request.scope["route"].path.rpartition("}")[2].count("/")
    first = segments.index(_BEFORE) + 1 if _BEFORE in segments else len(segments)
    if len(segments) == first + 2 + after:
        source, external_id = unquote(segments[first]), unquote(segments[first + 1])
    errors = []
    for field, text in (("source", source), ("external_id", external_id)):
        try:
            check_id(text)
        except ValueError as error:
            errors.append(FieldError(field=field, message=str(error)))
    if errors:
        raise invalid_fields(errors)
    return source, external_id


ExternalTicket = Annotated[tuple[str, str], Depends(_parse_external_ticket)]
"""(source, external id). The ticket's id is `tocsin.events.ticket_id(tenant, *ticket)`."""
