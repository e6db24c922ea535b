"""Any tool, by configuration: JMESPath expressions say where a payload says what, a section says how it is signed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError

from intake.hooks import payload, signatures
from intake.hooks.auth import Auth, Signature
from intake.hooks.expressions import Reading
from intake.hooks.mapping import Integration, meaning
from intake.hooks.sighting import Delivered, Person, Sighting, Unreadable, each

_MOST_TICKETS: Final = 500


def genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the secrets proves these raw bytes, by the one way that `auth` names; see `Adapter`."""
    if auth.signature is not None:
        return _signed(auth.signature, secrets, headers, body, now)
    if auth.header is not None:
        return signatures.equal_to_one(headers.get(auth.header.lower()), secrets)
    return signatures.authorized(headers.get("authorization"), secrets, user=auth.user)


def read(body: bytes, settings: Integration) -> Delivered:
    """What the delivery says. Raises Unreadable."""
    reading = settings.generic
    assert reading is not None  # a generic integration has it (see mapping)
    data = payload.parsed(body)
    key = payload.text(_found(reading.key, data, "key"))
    if reading.when is not None and not _found(reading.when, data, "when"):
        return Delivered((), key, payload.text(_found(reading.about, data, "about")) or "no ticket")
    tickets = _found(reading.tickets, data, "tickets")
    items, path = (tickets, "[{}].") if isinstance(tickets, list) else ([tickets], "")
    if len(items) > _MOST_TICKETS:
        raise Unreadable("tickets", f"are more than {_MOST_TICKETS}; have the tool send fewer at once")
    zone = ZoneInfo(settings.zone)
    seen = (partial(_sighting_at, path.format(place), item, reading, zone) for place, item in enumerate(items))
    return Delivered(each(seen), key)


def _sighting_at(path: str, ticket: object, reading: Reading, zone: ZoneInfo) -> Sighting:
    try:
        return _sighting(ticket, reading, zone)
    except Unreadable as problem:
        raise Unreadable(f"{path}{problem.field}", problem.message) from None


def _sighting(ticket: object, reading: Reading, zone: ZoneInfo) -> Sighting:
    def text(field: str) -> str | None:
        return payload.text(_found(getattr(reading, field), ticket, field))

    def instant(field: str) -> datetime | None:
        expression = getattr(reading, field)
        value = _found(expression, ticket, field)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        at = next((at for form in reading.instants if (at := payload.instant(value, zone, form))), None)
        if at is None:
            message = f"what `{expression[:60]}` finds {payload.NO_INSTANT}; say in `instants` how it is written"
            raise Unreadable(field, message)
        return at

    external_id = text("external_id")
    if external_id is None:
        raise Unreadable(reading.external_id, "is missing; map external_id to where the ticket's id is")
    return Sighting(
        external_id=external_id,
        action=_action(text("action"), reading),
        sequence=_sequence(text("sequence")),
        contact=Person(text("contact_name"), text("contact_email"), text("contact_phone")),
        services=_services(_found(reading.services, ticket, "services")),
        seen_at=instant("seen_at"),
        opened_at=instant("opened_at"),
        responded_at=instant("responded_at"),
        resolved_at=instant("resolved_at"),
        status=text("status"),
        priority=text("priority"),
        queue=text("queue"),
        type=text("type"),
        channel=text("channel"),
        summary=text("summary"),
        description=text("description"),
        customer_id=text("customer_id"),
        customer_name=text("customer_name"),
        actor=text("actor"),
    )


def _action(word: str | None, reading: Reading) -> Literal["created", "updated", "deleted"] | None:
    if word is None:
        return None
    action: Literal["created", "updated", "deleted"] | None = meaning(reading.actions, word)
    return action


def _sequence(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 18 else 0


def _services(value: object) -> tuple[str, ...] | None:
    items = value if isinstance(value, list) else [value]
    return tuple(found for item in items if (found := payload.text(item)) is not None) or None


def _found(expression: str | None, data: object, field: str) -> object:
    if expression is None:
        return None
    try:
        return jmespath.search(expression, data)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError):
        message = f"`{expression[:60]}` does not fit this payload; mend the expression"
        raise Unreadable(field, message) from None


def _signed(rule: Signature, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    pieces = {"body": body, "timestamp": b""}
    if rule.timestamp_header is not None:
        timestamp = headers.get(rule.timestamp_header.lower(), "")
        if not timestamp.isascii() or not _recent(timestamp, now, rule.tolerance_seconds):
            return False
        pieces["timestamp"] = timestamp.encode()
    message = rule.separator.encode().join(pieces[piece] for piece in rule.signed)
    given = headers.get(rule.header.lower())
    return signatures.signed(
        given, secrets, message, algorithm=rule.algorithm, encoding=rule.encoding, prefix=rule.prefix
    )


def _recent(timestamp: str, now: datetime, tolerance: int) -> bool:
    form = "unix" if timestamp.isdecimal() else "iso"
    at = payload.instant(timestamp, ZoneInfo("UTC"), form)
    return at is not None and abs((now.astimezone(UTC) - at).total_seconds()) <= tolerance
