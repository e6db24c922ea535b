"""Reads any tool by configuration: JMESPath expressions read the payload, and `auth` states how it is signed. Pure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth, Signature
from intake.domain.webhooks.config.expressions import GenericMapping
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.snapshot import (
    AssigneeInfo,
    ContactInfo,
    DeliveryContent,
    ImpactInfo,
    TicketSnapshot,
    read_each,
)
from intake.domain.webhooks.tool_instants import NOT_AN_INSTANT, read_instant
from intake.domain.words import find_word
from intake.errors import UnmappedReason, UnreadableError

SEND_TICKET: Final = (
    "configure the tool to send the whole ticket, or correct"
    " `when`, `tickets` and `external_id` in the `generic` section"
)

_MAX_TICKETS: Final = 500
_QUOTED_LENGTH: Final = 60
_TEXTS: Final = (
    *("external_id", "action", "sequence", "status", "priority", "queue", "type", "channel", "summary", "description"),
    *("customer_id", "customer_name", "contact_name", "contact_email", "contact_phone", "actor"),
    *("assignee_id", "assignee_name", "assignee_email"),
)
_WORDS: Final = ("via", "it_contact", "business_risk", "work_stoppage", "users_affected_percent", "workaround")
_INSTANTS: Final = ("seen_at", "opened_at", "responded_at", "resolved_at")


def is_genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether these raw bytes are authentic by the method that `auth` configures; see `Adapter`."""
    if auth.signature is not None:
        return _is_signed(auth.signature, secrets, headers, body, now)
    if auth.header is not None:
        return signatures.equals_any(headers.get(auth.header.lower()), secrets)
    return signatures.has_credentials(headers.get("authorization"), secrets, user=auth.user)


def is_recent(timestamp: str, now: datetime, tolerance: int) -> bool:
    """Whether a signed timestamp (ISO 8601, or seconds since 1970) is at most `tolerance` seconds from now."""
    if not timestamp.isascii():
        return False
    form = "unix" if timestamp.isdecimal() else "iso"
    try:
        at = read_instant(timestamp, ZoneInfo("UTC"), form)
    except ValueError:
        return False
    return at is not None and abs((now.astimezone(UTC) - at).total_seconds()) <= tolerance


def read(body: bytes, integration: Integration) -> DeliveryContent:
    """The tickets of the delivery; see `Adapter`."""
    mapping = integration.generic
    assert mapping is not None  # `Integration` requires it for this adapter
    data = payload.parse(body)
    key = _text(mapping.key, data, "key")
    if mapping.when is not None and not _search(mapping.when, data, "when"):
        return DeliveryContent((), key, WebhookIgnoredReason.NOT_A_TICKET, _subject(mapping, data))
    tickets = _search(mapping.tickets, data, "tickets")
    items, path = (tickets, "[{}].") if isinstance(tickets, list) else ([tickets], "")
    if len(items) > _MAX_TICKETS:
        raise UnreadableError("tickets", f"has more than {_MAX_TICKETS} items; configure smaller batches in the tool")
    if not items:
        raise UnreadableError(
            "tickets", f"`{mapping.tickets[:_QUOTED_LENGTH]}` finds no ticket", UnmappedReason.NO_TICKET
        )
    zone = ZoneInfo(integration.zone)
    readers = (partial(_read_item, path.format(index), item, mapping, zone) for index, item in enumerate(items))
    return DeliveryContent(read_each(readers), key)


def _subject(mapping: GenericMapping, data: payload.Payload) -> str:
    """The subject of a delivery for which `when` is false: a payload of the tool says what it is about."""
    about = _text(mapping.about, data, "about")
    if about is None and mapping.about is not None:
        message = (
            "the event is not one that the mapping reads (`when` is false), and"
            f" `about` (`{mapping.about[:_QUOTED_LENGTH]}`) finds no name of it; unsubscribe the event in the tool if"
            " it is not about tickets"
        )
        raise UnreadableError("when", message, UnmappedReason.NO_TICKET)
    return about or "`when` is false"


def _read_item(path: str, item: object, mapping: GenericMapping, zone: ZoneInfo) -> TicketSnapshot:
    try:
        return _snapshot(item, mapping, zone)
    except UnreadableError as error:
        raise UnreadableError(f"{path}{error.field}", error.message, error.reason) from None


def _snapshot(item: object, mapping: GenericMapping, zone: ZoneInfo) -> TicketSnapshot:
    text = {field: _text(_expression(mapping, field), item, field) for field in _TEXTS}
    word = {field: _word(_expression(mapping, field), item, field) for field in _WORDS}
    at = {field: _instant(_expression(mapping, field), item, field, mapping, zone) for field in _INSTANTS}
    starts_at = _start(mapping, item, zone)
    services = _texts(mapping.services, item, "services")
    external_id, action = text["external_id"], text["action"]
    if external_id is None:
        message = "is missing, and external_id is mapped to it"
        raise UnreadableError(mapping.external_id, message, UnmappedReason.NO_TICKET)
    found: Mapping[str, object] = {**text, **word, **at, "services": services, "starts_at": starts_at}
    return TicketSnapshot(
        external_id=external_id,
        action=find_word(mapping.actions, action) if action is not None else None,
        sequence=_sequence(text["sequence"]),
        seen_at=at["seen_at"],
        opened_at=at["opened_at"],
        responded_at=at["responded_at"],
        resolved_at=at["resolved_at"],
        status=text["status"],
        priority=text["priority"],
        queue=text["queue"],
        type=text["type"],
        channel=text["channel"],
        summary=text["summary"],
        description=text["description"],
        customer_id=text["customer_id"],
        customer_name=text["customer_name"],
        contact=ContactInfo(name=text["contact_name"], email=text["contact_email"], phone=text["contact_phone"]),
        services=services,
        via=word["via"],
        it_contact=word["it_contact"],
        starts_at=starts_at,
        impact=ImpactInfo(
            business_risk=word["business_risk"],
            work_stoppage=word["work_stoppage"],
            users_affected_percent=word["users_affected_percent"],
            workaround=word["workaround"],
        ),
        assignee=AssigneeInfo(text["assignee_id"], text["assignee_name"], text["assignee_email"]),
        actor=text["actor"],
        found_nothing=tuple(
            f"{field}: {expression}"
            for field, value in found.items()
            if value is None and (expression := _expression(mapping, field))
        ),
    )


def _expression(mapping: GenericMapping, field: str) -> str | None:
    expression: str | None = getattr(mapping, field)
    return expression


def _sequence(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or len(text) >= 18:
        raise UnreadableError("sequence", "must be a whole number; map it to the tool's change counter, or omit it")
    return int(text)


def _instant(
    expression: str | None, data: object, field: str, mapping: GenericMapping, zone: ZoneInfo
) -> datetime | None:
    value = _search(expression, data, field)
    try:
        return _instant_in(value, mapping, zone)
    except ValueError:
        message = (
            f"`{(expression or '')[:_QUOTED_LENGTH]}` {NOT_AN_INSTANT}; add its format to `instants`,"
            " or the value to `none_on` if it means that there is no date"
        )
        raise UnreadableError(field, message) from None


def _instant_in(value: object, mapping: GenericMapping, zone: ZoneInfo) -> datetime | None:
    """The instant; None if there is none. Raises ValueError if the value has none of the formats."""
    if value is None or mapping.means_no_date(payload.text(value) or ""):
        return None
    for form in mapping.instants:
        with suppress(ValueError):
            return read_instant(value, zone, form)
    raise ValueError(NOT_AN_INSTANT)


def _start(mapping: GenericMapping, item: object, zone: ZoneInfo) -> datetime | None:
    """A start that is not an instant counts as not stated."""
    with suppress(ValueError):
        return _instant_in(_search(mapping.starts_at, item, "starts_at"), mapping, zone)
    return None


def _texts(expression: str | None, data: object, field: str) -> tuple[str, ...] | None:
    value = _search(expression, data, field)
    values = value if isinstance(value, list) else [value]
    return tuple(text for item in values if (text := _as_text(item, expression, field)) is not None) or None


def _text(expression: str | None, data: object, field: str) -> str | None:
    return _as_text(_search(expression, data, field), expression, field)


def _as_text(value: object, expression: str | None, field: str) -> str | None:
    if problem := payload.problem_with_text(value):
        message = f"`{(expression or '')[:_QUOTED_LENGTH]}` {problem}; correct the expression or the payload"
        raise UnreadableError(field, message)
    return payload.text(value)


def _word(expression: str | None, data: object, field: str) -> str | None:
    value = _search(expression, data, field)
    return payload.word(value) if isinstance(value, bool) else _as_text(value, expression, field)


def _search(expression: str | None, data: object, field: str) -> object:
    if expression is None:
        return None
    try:
        return jmespath.search(expression, data)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError):
        message = f"`{expression[:_QUOTED_LENGTH]}` fails on this payload; correct the expression"
        raise UnreadableError(field, message) from None


def _is_signed(
    signature: Signature, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime
) -> bool:
    parts = {"body": body, "timestamp": b""}
    if signature.timestamp_header is not None:
        timestamp = headers.get(signature.timestamp_header.lower(), "")
        if not is_recent(timestamp, now, signature.tolerance_seconds):
            return False
        parts["timestamp"] = timestamp.encode()
    return signatures.has_signature(
        headers.get(signature.header.lower()),
        secrets,
        signature.separator.encode().join(parts[part] for part in signature.signed),
        algorithm=signature.algorithm,
        encoding=signature.encoding,
        prefix=signature.prefix,
    )
