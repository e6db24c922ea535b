"""Classifies a delivery without a ticket: a test call, a notice of deactivation, or another record. Pure.

Tools have no common form for such messages. They are recognised only in a delivery in which no ticket was found: a test
call by the field that names the event, a notice of deactivation also by its texts and by the state of the webhook.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Final

from intake.domain.webhooks import payload
from intake.errors import UnmappedReason, UnreadableError


# docs/rules.md#1-14
class WebhookIgnoredReason(StrEnum):
    """Why a webhook is ignored.

    test_call: a test or a verification that people start in the tool. not_a_ticket: another record, such as a contact
    or a note. other_queue: the ticket's queue is not configured. deleted: the ticket was deleted before it was known.
    """

    TEST_CALL = "test_call"
    NOT_A_TICKET = "not_a_ticket"
    OTHER_QUEUE = "other_queue"
    DELETED = "deleted"


_EVENT_FIELDS: Final = frozenset(
    (
        *("event", "eventtype", "eventname", "type", "action", "topic", "trigger", "kind", "webhookevent"),
        *("notificationtype", "messagetype", "lifecycleevent", "entitytype"),
    )
)
_CHALLENGE_FIELDS: Final = frozenset(("challenge", "validationtoken", "verificationtoken"))
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_MAX_LENGTH: Final = 100
_MAX_NOTICE_LENGTH: Final = 300
_URL: Final = re.compile(r"https?://\S+", re.IGNORECASE)

_WEBHOOK: Final = frozenset(("webhook", "webhooks", "hook", "subscription", "callback", "callout", "endpoint"))
_TEST: Final = frozenset(("test", "ping", "verification", "verify", "validation", "validate", "handshake", "challenge"))
_BESIDE_TEST: Final = frozenset(("event", "url", "connection", "message", "notification", "call", "zen", "type"))
_OFF: Final = frozenset(
    ("deactivated", "deactivation", "disabled", "suspended", "paused", "unsubscribed", "inactivated")
)
_ON: Final = frozenset(("active", "enabled"))
_STATE: Final = frozenset(("status", "state"))
_GONE: Final = frozenset(
    (
        *("removed", "deleted", "expired", "cancelled", "canceled", "revoked", "terminated", "inactive"),
        *("stopped", "off"),
    )
)


def is_test_call(event: str) -> bool:
    """Whether the name of an event, such as `webhook.test`, says that it is a test or a verification."""
    words = _words(event)
    return bool(words & _TEST) and words <= _TEST | _BESIDE_TEST | _WEBHOOK


def is_deactivation(event: str) -> bool:
    """Whether the name of an event, such as `webhook_disabled`, says that the tool has switched the webhook off."""
    words = _words(event)
    return bool(words & _OFF and len(words) == 1) or bool(words & _WEBHOOK and words & (_OFF | _GONE))


def notices_of(body: bytes, *, is_record: bool) -> Iterator[str]:
    """What says that the tool has switched the webhook off: short texts, and the state of a webhook with its field.

    In another record than a ticket, only its own texts and its webhook count: people write the other texts.
    """
    with suppress(UnreadableError):
        yield from _notices(payload.parse(body), is_inside=not is_record)


def events_of(body: bytes) -> Iterator[str]:
    """The values of the fields that usually name an event; `challenge` for a one-time verification by the tool.

    Of a list, the first object counts.
    """
    try:
        data = payload.parse(body)
    except UnreadableError:
        return
    first = next(iter(data), None) if isinstance(data, list) else data
    for name, value in first.items() if isinstance(first, Mapping) else ():
        field = _plain(name)
        if field in _CHALLENGE_FIELDS:
            yield "challenge"
        elif field in _EVENT_FIELDS and (text := payload.text(value)):
            yield text


def deactivated(event: str) -> UnreadableError:
    """The error for a notice that the webhook is switched off."""
    message = (
        f"the tool has switched its webhook off (`{event[:_MAX_LENGTH]}`): its tickets no longer arrive; switch the"
        " webhook on in the tool, save the tickets that changed since then, and dismiss this notice"
    )
    return UnreadableError("webhook", message, UnmappedReason.DEACTIVATED)


def _notices(value: object, *, is_inside: bool, is_webhook: bool = False) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _notices(item, is_inside=is_inside, is_webhook=is_webhook)
    elif isinstance(value, Mapping):
        # `{"type": "webhook", "status": "inactive"}` describes a webhook as `{"webhook": {"status": "inactive"}}` does.
        is_webhook |= any(_words(payload.text(kind) or "") & _WEBHOOK for kind in _event_values(value))
        for name, each in value.items():
            is_its = bool(_words(name) & _WEBHOOK)
            if (is_its or is_webhook) and _is_off(name, each):
                yield f"{name}: {payload.word(each)}"
            if is_inside or is_its or not isinstance(each, Mapping | list):
                yield from _notices(each, is_inside=is_inside, is_webhook=is_its or is_webhook)
    elif isinstance(value, str) and len(value) <= _MAX_NOTICE_LENGTH:
        words = _words(_URL.sub("", value), _MAX_NOTICE_LENGTH)
        if words & _WEBHOOK and words & (_OFF | _GONE):
            yield value


def _is_off(name: str, value: object) -> bool:
    """Whether a field of a webhook says that it is off. A text of several words counts only in its status."""
    names = _words(name)
    if isinstance(value, bool):
        return bool(names & (_OFF | _GONE)) if value else bool(names & _ON)
    words = _words(payload.text(value) or "")
    return bool(words & (_OFF | _GONE)) and (len(words) == 1 or bool(names & _STATE))


def _event_values(values: Mapping[str, object]) -> Iterator[object]:
    return (value for name, value in values.items() if _plain(name) in _EVENT_FIELDS)


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalpha())


def _words(event: str, length: int = _MAX_LENGTH) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(event[:length]))
