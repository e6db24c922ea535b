"""What Schemathesis needs to know about our APIs besides their OpenAPI documents.

Valid cases are completed with what a schema cannot express, so that none may be rejected: a period ends after it
starts, a simulation ends after the opening. Routes without an API key get valid credentials: deliveries are signed as
the tool signs them, links are ours. The choices depend on the case alone, so that a repeated case is sent unchanged.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4
from zlib import crc32

import requests
import schemathesis
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi import stateful
from support.webhook_mutations import mutated_delivery
from support.webhook_recordings import PROVIDERS, SECRET, auth_headers, recordings
from tocsin.email_address import is_usable_email

Case = schemathesis.Case[Any]
Call = dict[str, Any]

TESTS = Path(__file__).parents[1]
KNOWN: Mapping[str, Any] = json.loads(Path(os.environ["TOCSIN_FUZZ_KNOWN"]).read_text())
MAILS = [path.read_bytes() for path in sorted((TESTS / "recorded/mails").glob("*.eml"))]
REPORTS = [path.read_bytes() for path in sorted((TESTS / "recorded/bounces").glob("*.eml"))]
ABOUT, ADDRESS = b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>", b"dana@example.com"
ROLES = ("service_desk_team_lead", "account_manager", "chief_executive_officer")
FILLED_IN = {"provider", "tenant", "token"}  # below
CALENDAR, IN_BUSINESS_TIME = range(1901, 2099), (3, 4)
KEY = "Idempotency-Key"
LONGEST = 255

_genuine: set[str] = set()


def begins(operation: Any, node: Any, produced_anywhere: set[str]) -> bool:
    """Whether a sequence of calls may begin with this one: it needs nothing that another call has created.

    Schemathesis would take a ticket's `external_id` for such a thing, although the caller chooses it.
    """
    return {parameter.name for parameter in operation.path_parameters} <= FILLED_IN


stateful.is_likely_root_transition = begins


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: Call) -> None:
    """Complete a valid case, and replace its Idempotency-Key, which belongs to one request."""
    if case.headers is not None and _valid(case.headers.get(KEY)):
        case.headers[KEY] = str(uuid4())
    complete = COMPLETED.get(case.operation.label)
    if complete is not None and case.meta is not None and case.meta.generation.mode.is_positive:
        seen = repr((case.path_parameters, case.query, case.body))
        complete(case, kwargs, Random(crc32(seen.encode(errors="surrogatepass"))))


@schemathesis.check
def genuine_requests_are_accepted(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: Case) -> None:
    """Without this check, a service that rejects every request with a documented error would pass."""
    if case.id in _genuine and response.status_code in (401, 404, 422):
        raise AssertionError(f"A genuine request was rejected: {response.text[:500]}")


@schemathesis.serializer("message/rfc822")
def message(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A mail as bytes; an invalid case may be anything."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")


@dataclass(frozen=True)
class Stamped(requests.auth.AuthBase):
    """Adds headers that depend on the body as it is sent."""

    headers: Callable[[bytes], Mapping[str, str]]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        request.headers.update(self.headers(body.encode() if isinstance(body, str) else body))
        return request


def ticket(case: Case, kwargs: Call, random: Random) -> None:
    """With a severity, since the shipped policy has no default for any source; sometimes a known ticket."""
    body: Any = case.body
    if random.random() < 0.4:
        case.body = random.choice(KNOWN["tickets"])
    elif body.get("severity") is None:
        body["severity"] = random.randint(1, 4)
    _make_usable(body.get("contact"))
    _make_usable(body.get("assignee"))


def by_external_id(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly of a known ticket."""
    if random.random() < 0.8 and not _by_link(case):
        known = random.choice(KNOWN["tickets"])
        case.path_parameters.update(source=known["source"], external_id=known["external_id"])
    if isinstance(case.body, dict):
        _make_usable(case.body.get("assignee"))


def clocks(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly with known tickets among others."""
    if random.random() < 0.8:
        body: Any = case.body
        case.body = {"ticket_ids": [*random.sample(KNOWN["ids"], 2), *body["ticket_ids"][:198]]}


def ladders(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly with a known ticket and event among others."""
    if random.random() < 0.8:
        body: Any = case.body
        known = {"ticket_id": random.choice(KNOWN["ids"]), "event_id": random.choice(KNOWN["events"])}
        case.body = {"items": [known, *body["items"][:199]]}


def redelivery(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly of a known delivery, with a key that belongs to it, so that the second request is a repetition."""
    if random.random() < 0.6 and not _by_link(case):
        case.path_parameters["delivery_id"] = random.choice(KNOWN["deliveries"])
    if random.random() < 0.8:
        named = isinstance(case.body, dict)
        if named:
            case.body = {"by": "Dana Whitfield"}
        case.headers[KEY] = f"again {case.path_parameters['delivery_id']}{' by Dana' if named else ''}"


def story(case: Case, kwargs: Call, random: Random) -> None:
    """Until an instant after the opening; in business time only in the years of the shipped calendar."""
    body: Any = case.body
    opened = body["facts"][0]["occurred_at"]
    if _at(body["until"]) < _at(opened):
        body["until"] = opened
    if any(
        _at(text).year not in CALENDAR for text in (body["until"], *(fact["occurred_at"] for fact in body["facts"]))
    ):
        for fact in body["facts"]:
            if fact.get("severity") in IN_BUSINESS_TIME:
                fact["severity"] -= 2


def event(case: Case, kwargs: Call, random: Random) -> None:
    """Sometimes of a known ticket."""
    if random.random() < 0.3 and not _by_link(case):
        case.path_parameters["ticket_id"] = random.choice(KNOWN["ids"])
    body: Any = case.body
    _make_usable(body.get("assignee"))


def everything(case: Case, kwargs: Call, random: Random) -> None:
    """Half of the lists are requested without filters, or for a ticket: other filters rarely match anything."""
    if random.random() < 0.5:
        case.query = {name: value for name, value in case.query.items() if name == "ticket_id"}


def period(begin: str, end: str) -> Callable[[Case, Call, Random], None]:
    """Ends after it starts; optional filters are dropped as in `everything`."""

    def ordered(case: Case, kwargs: Call, random: Random) -> None:
        if begin != "from":
            everything(case, kwargs, random)
        query = case.query
        if begin not in query or end not in query:
            return
        first, last = _at(query[begin]), _at(query[end])
        if last < first:
            query[begin], query[end] = query[end], query[begin]
        elif last == first:
            query[begin] = "1990-01-01T00:00:00Z"

    return ordered


def role(case: Case, kwargs: Call, random: Random) -> None:
    """A role of the directory."""
    case.query["role"] = random.choice(ROLES)


def webhook(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly to a configured integration, and signed: a recorded delivery, a changed one, or any JSON."""
    if random.random() < 0.1:
        return
    provider = random.choice(PROVIDERS)
    case.path_parameters.update(provider=provider, tenant="default")
    match random.randrange(4):
        case 0 | 1:
            kwargs["data"] = random.choice(recordings(provider))
        case 2:
            kwargs["data"] = mutated_delivery(random, provider)
    if random.random() < 0.9:
        kwargs["auth"] = Stamped(lambda body: auth_headers(provider, body))
        _genuine.add(case.id)


def mail(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly to a configured mailbox, with its secret: a recorded mail, a changed one, or any text."""
    if random.random() < 0.1:
        return
    case.path_parameters["tenant"] = "default"
    match random.randrange(4):
        case 0 | 1:
            kwargs["data"] = random.choice(MAILS)
        case 2:
            kwargs["data"] = _changed(random, random.choice(MAILS))
    if random.random() < 0.9:
        kwargs["auth"] = Stamped(lambda body: {"authorization": f"Bearer {SECRET.decode()}"})
        _genuine.add(case.id)


def bounce(case: Case, kwargs: Call, random: Random) -> None:
    """A recorded report, mostly about a known mail, a changed one, or any text."""
    message_id, address = random.choice(KNOWN["mails"])
    report = random.choice(REPORTS).replace(ADDRESS, address.encode())
    match random.randrange(4):
        case 0 | 1:
            kwargs["data"] = report.replace(ABOUT, message_id.encode())
            _genuine.add(case.id)
        case 2:
            kwargs["data"] = _changed(random, report)


def acknowledgement(case: Case, kwargs: Call, random: Random) -> None:
    """Mostly with a link of ours, as a browser or as a program."""
    if random.random() < 0.9 and not _by_link(case):
        case.path_parameters["token"] = random.choice(KNOWN[random.choice(("open", "tokens"))])
    if random.random() < 0.7:
        kwargs["auth"] = Stamped(lambda body: {"accept": "application/json"})


COMPLETED: Mapping[str, Callable[[Case, Call, Random], None]] = {
    "POST /v1/tickets": ticket,
    "POST /v1/tickets/{ticket_id}/events": event,
    "POST /v1/tickets/by-external/{source}/{external_id}/events": by_external_id,
    "GET /v1/tickets/by-external/{source}/{external_id}": by_external_id,
    "GET /v1/tickets/by-external/{source}/{external_id}/clocks": by_external_id,
    "GET /v1/tickets/by-external/{source}/{external_id}/escalation": by_external_id,
    "GET /v1/tickets": period("opened_from", "opened_to"),
    "POST /v1/hooks/{provider}/{tenant}": webhook,
    "POST /v1/hooks/email/{tenant}": mail,
    "GET /ack/{token}": acknowledgement,
    "POST /ack/{token}": acknowledgement,
    "GET /v1/hooks/unmapped": everything,
    "GET /v1/dead-letters": everything,
    "GET /v1/escalations": period("step_from", "step_to"),
    "POST /v1/clocks": clocks,
    "POST /v1/ladders": ladders,
    "POST /v1/simulate": story,
    "GET /v1/compliance": period("from", "to"),
    "GET /v1/outcomes": period("from", "to"),
    "GET /v1/terms": everything,
    "GET /v1/deliveries": period("queued_from", "queued_to"),
    "POST /v1/deliveries/{delivery_id}/redeliver": redelivery,
    "POST /v1/bounces": bounce,
    "GET /v1/on-call": role,
    "GET /v1/on-call/calendar.ics": role,
}


def _make_usable(person: Any) -> None:
    """Replace an address that JSON Schema accepts and nobody can send to."""
    if isinstance(person, dict) and (email := person.get("email")) and email.strip() and not is_usable_email(email):
        person["email"] = "ada@acme.example"


def _by_link(case: Case) -> bool:
    """Whether the path of this valid case may come from the response before it."""
    assert case.meta is not None
    begun = case.method == "POST" and not FILLED_IN.isdisjoint(case.path_parameters)
    return case.meta.phase.name is TestPhase.STATEFUL and not begun


def _valid(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= LONGEST and key.isascii() and bool(key.strip())


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())


def _changed(random: Random, raw: bytes) -> bytes:
    """With some bytes removed or replaced."""
    for _ in range(random.randint(1, 5)):
        where = random.randint(0, len(raw))
        raw = raw[:where] + random.randbytes(random.randint(0, 4)) + raw[where + random.randint(0, 40) :]
    return raw
