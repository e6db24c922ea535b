"""The notifier's calls about who is on call, and why."""

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response
from tocsin.directory import Directory, Holder, export_calendar
from tocsin.instants import Instant, InstantInput
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile
from tocsin.validation import FieldError

from notifier.domain.on_call import FIRST, LAST, around, on_call

_CALENDAR = "text/calendar"
_CALENDAR_EXAMPLE = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//tocsin//on call//EN
NAME:service_desk_team_lead
BEGIN:VEVENT
SUMMARY:Maya Lindqvist
DTSTART:20260608T130000Z
DTEND:20260615T130000Z
DTSTAMP:20260608T120000Z
UID:0d6a4b1f9c1e4d7a8c2f5b3e6a7d8c9b@tocsin
ATTENDEE;CN=Maya Lindqvist:mailto:maya.lindqvist@example.com
DESCRIPTION:rotation primary\\, week of 2026-06-08
TRANSP:TRANSPARENT
X-TOCSIN-PERSON:maya.lindqvist
END:VEVENT
END:VCALENDAR
"""


def _example() -> dict[str, Any]:
    def holder(person: str, week: str) -> dict[str, Any]:
        name = person.replace(".", " ").title()
        rule = f"rotation primary, week of {week}"
        return {"person": person, "name": name, "email": f"{person}@example.com", "fallbacks": [], "rule": rule}

    return {
        "role": "service_desk_team_lead",
        "customer": None,
        "at": "2026-06-08T14:00:00.000000Z",
        "holder": holder("maya.lindqvist", "2026-06-08"),
        "until": "2026-06-15T13:00:00.000000Z",
        "then": holder("tomas.herrera", "2026-06-15"),
        "group_address": "desk-leads@example.com",
    }


class HolderShown(BaseModel):
    """A person who holds a role, and the rule that says so. `fallbacks` are tried when `email` is refused."""

    person: str
    name: str
    email: str
    fallbacks: tuple[str, ...]
    rule: str


class OnCallShown(BaseModel):
    """Who is on call. `holder` null: nobody, the tier is vacant. `until` null: nothing changes within a year; otherwise
    `then` is who follows, by which rule, null where nobody does. `group_address` is tried last.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_example()]})

    role: str
    customer: str | None
    at: Instant
    holder: HolderShown | None
    until: Instant | None
    then: HolderShown | None
    group_address: str | None


Reader = Annotated[Caller, Depends(require(TICKETS_READ))]
Role = Annotated[str, Query(max_length=100, description="a role of the directory, such as service_desk_team_lead")]
CustomerId = Annotated[
    str | None,
    Query(max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="a customer's id; without: any customer"),
]


_TO_THE_MINUTE: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d)([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _with_seconds(value: object) -> object:
    """As people ask, `2026-12-24T23:30Z`, written as an instant is."""
    if isinstance(value, str) and (found := _TO_THE_MINUTE.fullmatch(value)):
        return f"{found[1]}:00{found[2]}"
    return value


_Asked = Annotated[
    InstantInput, BeforeValidator(_with_seconds), Field(json_schema_extra={"pattern": "^(19|20)[0-9]{2}-"})
]
At = Annotated[
    _Asked | None,
    Query(description=f"an instant in the years {FIRST.year} to {LAST.year - 1}; without: now"),
]


def router(directory: DirectoryFile, clock: TimeSource) -> APIRouter:
    """The routes, by the directory as it is when they are called."""
    routes = APIRouter(prefix="/v1/on-call", tags=["on call"])

    @routes.get(
        "",
        summary="Who holds a role, why, and until when",
        description="By the directory as it is now: overrides, then the customer's own rules, then the general ones.",
        responses={200: {"description": "Who holds it, or null where nobody does"}},
    )
    async def who(
        _: Reader,
        role: Role,
        at: At = None,
        customer: CustomerId = None,
    ) -> OnCallShown:
        known = _known(directory, role)
        instant = at or clock.now()
        if not FIRST <= instant < LAST:
            raise _wrong("at", f"must lie in the years {FIRST.year} to {LAST.year - 1}")
        found = await asyncio.to_thread(on_call, known, role, customer, instant)
        return OnCallShown(
            role=role,
            customer=customer,
            at=instant,
            holder=_shown(found.holder),
            until=found.until,
            then=_shown(found.then),
            group_address=known.group_address(role, customer),
        )

    @routes.get(
        "/calendar.ics",
        summary="Who holds a role, as an iCalendar from 90 days back, or more, to a year ahead",
        description="An event for each shift, in UTC, its holder the attendee. It keeps its UID while it begins when "
        "it does; the first begins with the year that it was 90 days ago. It can be read as a rotation again.",
        response_class=Response,
        responses={
            200: {
                "description": "The calendar",
                "content": {_CALENDAR: {"schema": {"type": "string"}, "example": _CALENDAR_EXAMPLE}},
            }
        },
    )
    async def calendar(_: Reader, role: Role, customer: CustomerId = None) -> Response:
        content = await asyncio.to_thread(_calendar, _known(directory, role), role, customer, clock.now())
        name = f'attachment; filename="{role}.ics"'
        return Response(content, media_type=_CALENDAR, headers={"Content-Disposition": name})

    return routes


def _calendar(directory: Directory, role: str, customer: str | None, now: datetime) -> bytes:
    return export_calendar(around(directory, role, customer, now), role, customer, now)


def _known(file: DirectoryFile, role: str) -> Directory:
    directory = file.current()
    if directory is None:
        raise Problem(503, "There is no directory that can be used; /readyz says what is wrong with it.")
    if role not in directory.known_roles:
        raise _wrong("role", f"is no role of the directory; known are {', '.join(directory.known_roles)}")
    return directory


def _wrong(field: str, message: str) -> Problem:
    return Problem(422, "Some fields are wrong.", errors=[FieldError(field=field, message=message)])


def _shown(holder: Holder | None) -> HolderShown | None:
    if holder is None:
        return None
    return HolderShown(
        person=holder.person, name=holder.name, email=holder.email, fallbacks=holder.fallbacks, rule=holder.rule
    )
