"""Any tool, by configuration: JMESPath expressions say where a payload says what, a section says how it is signed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, TypeVar
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth, Signature
from intake.domain.webhooks.config.expressions import GenericMapping
from intake.domain.webhooks.config.integrations import Integration, meaning
from intake.domain.webhooks.snapshot import ContactInfo, DeliveryContent, TicketSnapshot, UnreadableError, each

_MOST_TICKETS: Final = 500
_T = TypeVar("_T")


def genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the secrets proves these raw bytes, by the one way that `auth` names; see `Adapter`."""
    if auth.signature is not None:
        return _signed(auth.signature, secrets, headers, body, now)
    if auth.header is not None:
        return signatures.equal_to_one(headers.get(auth.header.lower()), secrets)
    return signatures.authorized(headers.get("authorization"), secrets, user=auth.user)


def read(body: bytes, settings: Integration) -> DeliveryContent:
    """What the delivery says. Raises UnreadableError."""
    reading = settings.generic
    assert reading is not None  # a generic integration has it (see mapping)
    data = payload.parsed(body)
    key = _word(reading.key, data, "key")
    if reading.when is not None and not _found(reading.when, data, "when"):
        return DeliveryContent((), key, _word(reading.about, data, "about") or "no ticket")
    tickets = _found(reading.tickets, data, "tickets")
    items, path = (tickets, "[{}].") if isinstance(tickets, list) else ([tickets], "")
    if len(items) > _MOST_TICKETS:
        raise UnreadableError("tickets", f"are more than {_MOST_TICKETS}; have the tool send fewer at once")
    zone = ZoneInfo(settings.zone)
    seen = (partial(_sighting_at, path.format(place), item, reading, zone) for place, item in enumerate(items))
    return DeliveryContent(each(seen), key)


def _sighting_at(path: str, ticket: object, reading: GenericMapping, zone: ZoneInfo) -> TicketSnapshot:
    try:
        return _sighting(ticket, reading, zone)
    except UnreadableError as problem:
        raise UnreadableError(f"{path}{problem.field}", problem.message) from None


class _Ticket:
    """A ticket of a payload; `found_nothing` are the mapped fields of which it said nothing."""

    def __init__(self, data: object, reading: GenericMapping, zone: ZoneInfo) -> None:
        self._data = data
        self._reading = reading
        self._zone = zone
        self.found_nothing: list[str] = []

    def text(self, field: str) -> str | None:
        expression, value = self._look(field)
        return self._noted(field, expression, _as_word(value, expression, field))

    def instant(self, field: str) -> datetime | None:
        expression, value = self._look(field)
        if value is None or (isinstance(value, str) and not value.strip()):
            return self._noted(field, expression, None)
        forms = self._reading.instants
        at = next((at for form in forms if (at := payload.instant(value, self._zone, form))), None)
        if at is None:
            message = f"what `{expression[:60]}` finds {payload.NO_INSTANT}; say in `instants` how it is written"
            raise UnreadableError(field, message)
        return at

    def texts(self, field: str) -> tuple[str, ...] | None:
        expression, value = self._look(field)
        words = [_as_word(item, expression, field) for item in (value if isinstance(value, list) else [value])]
        return self._noted(field, expression, tuple(word for word in words if word is not None) or None)

    def _look(self, field: str) -> tuple[str, object]:
        expression: str | None = getattr(self._reading, field)
        return expression or "", _found(expression, self._data, field)

    def _noted(self, field: str, expression: str, value: _T | None) -> _T | None:
        if expression and value is None:
            self.found_nothing.append(f"{field}: {expression}")
        return value


def _sighting(data: object, reading: GenericMapping, zone: ZoneInfo) -> TicketSnapshot:
    ticket = _Ticket(data, reading, zone)
    external_id = ticket.text("external_id")
    if external_id is None:
        raise UnreadableError(reading.external_id, "is missing; map external_id to where the ticket's id is")
    sighting = TicketSnapshot(
        external_id=external_id,
        action=_action(ticket.text("action"), reading),
        sequence=_sequence(ticket.text("sequence")),
        contact=ContactInfo(ticket.text("contact_name"), ticket.text("contact_email"), ticket.text("contact_phone")),
        services=ticket.texts("services"),
        seen_at=ticket.instant("seen_at"),
        opened_at=ticket.instant("opened_at"),
        responded_at=ticket.instant("responded_at"),
        resolved_at=ticket.instant("resolved_at"),
        status=ticket.text("status"),
        priority=ticket.text("priority"),
        queue=ticket.text("queue"),
        type=ticket.text("type"),
        channel=ticket.text("channel"),
        summary=ticket.text("summary"),
        description=ticket.text("description"),
        customer_id=ticket.text("customer_id"),
        customer_name=ticket.text("customer_name"),
        actor=ticket.text("actor"),
    )
    return replace(sighting, found_nothing=tuple(ticket.found_nothing))


def _action(word: str | None, reading: GenericMapping) -> Literal["created", "updated", "deleted"] | None:
    if word is None:
        return None
    action: Literal["created", "updated", "deleted"] | None = meaning(reading.actions, word)
    return action


def _sequence(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or len(text) >= 18:
        raise UnreadableError(
            "sequence", "is no whole number; map it to where the tool counts its changes, or leave it out"
        )
    return int(text)


def _word(expression: str | None, data: object, field: str) -> str | None:
    return _as_word(_found(expression, data, field), expression or "", field)


def _as_word(value: object, expression: str, field: str) -> str | None:
    if problem := payload.problem_with_word(value):
        message = f"what `{expression[:60]}` finds {problem}; mend the expression, or what the tool sends"
        raise UnreadableError(field, message)
    return payload.text(value)


def _found(expression: str | None, data: object, field: str) -> object:
    if expression is None:
        return None
    try:
        return jmespath.search(expression, data)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError):
        message = f"`{expression[:60]}` does not fit this payload; mend the expression"
        raise UnreadableError(field, message) from None


def _signed(rule: Signature, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    pieces = {"body": body, "timestamp": b""}
    if rule.timestamp_header is not None:
        timestamp = headers.get(rule.timestamp_header.lower(), "")
        if not recent(timestamp, now, rule.tolerance_seconds):
            return False
        pieces["timestamp"] = timestamp.encode()
    message = rule.separator.encode().join(pieces[piece] for piece in rule.signed)
    given = headers.get(rule.header.lower())
    return signatures.signed(
        given, secrets, message, algorithm=rule.algorithm, encoding=rule.encoding, prefix=rule.prefix
    )


def recent(timestamp: str, now: datetime, tolerance: int) -> bool:
    """Whether a signed timestamp, text or seconds since 1970, is no further than `tolerance` seconds from now."""
    if not timestamp.isascii():
        return False
    form = "unix" if timestamp.isdecimal() else "iso"
    at = payload.instant(timestamp, ZoneInfo("UTC"), form)
    return at is not None and abs((now.astimezone(UTC) - at).total_seconds()) <= tolerance
