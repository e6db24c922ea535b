"""Classifies a delivery without a ticket: a test call, a notice of deactivation, or another record. Pure.

Tools have no common form for such messages. They are recognised only in a delivery in which no ticket was found, by the
words in the field that names the event.
"""

import re
from collections.abc import Iterator, Mapping
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

_WEBHOOK: Final = frozenset(("webhook", "webhooks", "hook", "subscription", "callback", "callout", "endpoint"))
_TEST: Final = frozenset(("test", "ping", "verification", "verify", "validation", "validate", "handshake", "challenge"))
_BESIDE_TEST: Final = frozenset(("event", "url", "connection", "message", "notification", "call", "zen", "type"))
_OFF: Final = frozenset(
    ("deactivated", "deactivation", "disabled", "suspended", "paused", "unsubscribed", "inactivated")
)
_GONE: Final = frozenset(
    ("removed", "deleted", "expired", "cancelled", "canceled", "revoked", "terminated", "inactive")
)


def is_test_call(event: str) -> bool:
    """Whether the name of an event, such as `webhook.test`, says that it is a test or a verification."""
    words = _words(event)
    return bool(words & _TEST) and words <= _TEST | _BESIDE_TEST | _WEBHOOK


def is_deactivation(event: str) -> bool:
    """Whether the name of an event, such as `webhook_disabled`, says that the tool has switched the webhook off."""
    words = _words(event)
    return bool(words & _OFF and len(words) == 1) or bool(words & _WEBHOOK and words & (_OFF | _GONE))


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
        field = "".join(character for character in name.casefold() if character.isalpha())
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


def _words(event: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(event[:_MAX_LENGTH]))
