"""`/v1/on-call`: who holds a role, and why, as JSON and as an iCalendar."""

import asyncio
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, ConfigDict, Field
from starlette.responses import Response
from tocsin.characters import Id
from tocsin.directory import Directory, Holder, export_calendar
from tocsin.instants import Instant, InstantInput
from tocsin.runtime.http.authentication import MayRead
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import ResponseModel
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier.domain.on_call import calendar_shifts, on_call
from notifier.errors import DirectoryUnavailableError

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
        email = f"{person}@example.com"
        return {
            "person": person,
            "name": name,
            "email": email,
            "phone": "+1 212 555 0101",
            "fallbacks": [],
            "rule": rule,
        }

    return {
        "role": "service_desk_team_lead",
        "customer": None,
        "at": "2026-06-08T14:00:00.000000Z",
        "holder": holder("maya.lindqvist", "2026-06-08"),
        "until": "2026-06-15T13:00:00.000000Z",
        "then": holder("tomas.herrera", "2026-06-15"),
        "group_address": "desk-leads@example.com",
    }


class HolderResponse(ResponseModel):
    """Who holds a role, and the rule that says so. `fallbacks` are tried if `email` fails. `phone` is as the directory
    writes it. A key of another tenant than the directory's gets the name alone.
    """

    person: str | None
    name: str
    email: str | None
    phone: str | None
    fallbacks: tuple[str, ...]
    rule: str | None

    @classmethod
    def of(cls, holder: Holder | None, *, name_only: bool) -> "HolderResponse | None":
        if holder is None:
            return None
        if name_only:
            return cls(person=None, name=holder.name, email=None, phone=None, fallbacks=(), rule=None)
        return cls.model_validate(holder)


class OnCallResponse(ResponseModel):
    """Who is on call. `holder` is null if nobody is: the tier is vacant. `until` is null if nothing changes within a
    year; otherwise `then` follows, null if nobody does. `group_address` is tried last.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_example()]})

    role: str
    customer: str | None
    at: Instant
    holder: HolderResponse | None
    until: Instant | None
    then: HolderResponse | None
    group_address: str | None


_TO_THE_MINUTE: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d)([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _with_seconds(value: object) -> object:
    """Accept `2026-12-24T23:30Z`, as people write it."""
    if isinstance(value, str) and (found := _TO_THE_MINUTE.fullmatch(value)):
        return f"{found[1]}:00{found[2]}"
    return value


Role = Annotated[str, Query(max_length=100, description="A role of the directory, such as service_desk_team_lead")]
CustomerId = Annotated[
    Id | None,
    Query(min_length=1, max_length=100, description="A customer's id; default: any customer"),
]
_OnCallInstant = Annotated[
    InstantInput, BeforeValidator(_with_seconds), Field(json_schema_extra={"pattern": "^(19|20)[0-9]{2}-"})
]
At = Annotated[_OnCallInstant | None, Query(description="An instant in the years 1900 to 2099; default: now")]


_OTHER_TENANT: Final = Problem(
    403, "The directory belongs to another tenant. This API key may only call `GET /v1/on-call`, without `customer`."
)


def router(directory: DirectoryFile, clock: TimeSource) -> APIRouter:
    """The routes. Each call uses the current directory."""
    routes = APIRouter(prefix="/v1/on-call", tags=["on call"])

    @routes.get("", summary="Get who is on call", response_description="The holder, or null if there is none")
    async def get_on_call(caller: MayRead, role: Role, at: At = None, customer: CustomerId = None) -> OnCallResponse:
        """Who holds a role, by which rule, until when, and who follows, according to the current directory.

        Overrides come first, then the customer's own entries, then the general ones. A key of another tenant than the
        directory's cannot name a customer, and gets no addresses.
        """
        instant = at or clock.now()
        known = _current(directory)
        is_other = caller.tenant != known.tenant
        if is_other and customer is not None:
            raise _OTHER_TENANT
        found = await asyncio.to_thread(on_call, known, role, customer, instant)
        return OnCallResponse(
            role=role,
            customer=customer,
            at=instant,
            holder=HolderResponse.of(found.holder, name_only=is_other),
            until=found.until,
            then=HolderResponse.of(found.next_holder, name_only=is_other),
            group_address=None if is_other else found.group_address,
        )

    @routes.get(
        "/calendar.ics",
        summary="Get the on-call calendar of a role",
        response_class=Response,
        response_description="The calendar",
        responses={
            200: {"content": {"text/calendar": {"schema": {"type": "string"}, "example": _CALENDAR_EXAMPLE}}},
        },
    )
    async def get_calendar(caller: MayRead, role: Role, customer: CustomerId = None) -> Response:
        """An iCalendar of the role's shifts, from 1 January (at least 90 days back) to a year ahead.

        One event for each shift, in UTC, with its holder as attendee; its UID stays the same while its start does. The
        calendar can be used as the source of a rotation. Only for keys of the directory's tenant.
        """
        known = _current(directory)
        if caller.tenant != known.tenant:
            raise _OTHER_TENANT
        calendar = await asyncio.to_thread(_export, known, role, customer, clock)
        headers = {"Content-Disposition": f'attachment; filename="{role}.ics"'}
        return Response(calendar, media_type="text/calendar", headers=headers)

    return routes


def _export(directory: Directory, role: str, customer: str | None, clock: TimeSource) -> bytes:
    now = clock.now()
    return export_calendar(calendar_shifts(directory, role, customer, now), role, customer, now)


def _current(file: DirectoryFile) -> Directory:
    directory = file.current()
    if directory is None:
        raise DirectoryUnavailableError
    return directory
