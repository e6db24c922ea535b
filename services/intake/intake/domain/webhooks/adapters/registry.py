"""The adapters: one pure module per tool, with what `Adapter` describes; and how a delivery is read with one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol

from intake.domain.webhooks.adapters import autotask, connectwise, generic, halopsa
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import AdapterName, Integration, fold_word
from intake.domain.webhooks.no_ticket import (
    WebhookIgnoredReason,
    deactivated,
    events_of,
    is_deactivation,
    is_test_call,
)
from intake.domain.webhooks.snapshot import AssigneeInfo, DeliveryContent, TicketSnapshot
from intake.errors import UnmappedReason, UnreadableError

_QUOTED_LENGTH: Final = 60
_NOT_A_STATE: Final[Mapping[str, Any]] = {
    "action": None,
    "seen_at": None,
    "sequence": 0,
    "actor": None,
    "assignee": AssigneeInfo(),
    "found_nothing": (),
}
"""What a snapshot may have that is not the state of a ticket, absent."""


class Adapter(Protocol):
    """Authenticates and reads the deliveries of one kind of tool.

    `SEND_TICKET` says what to change where a delivery lacks its ticket.
    """

    SEND_TICKET: str

    def is_genuine(
        self, auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        """Whether one of the secrets authenticates these raw bytes; compared in constant time. Never raises.

        `headers` have lower-case names and omit headers that were sent twice. `now` is real time.
        """

    def read(self, body: bytes, integration: Integration) -> DeliveryContent:
        """The tickets of the delivery, or why it is ignored. Raises UnreadableError, and nothing else."""


ADAPTERS: Final[Mapping[AdapterName, Adapter]] = {
    "connectwise": connectwise,
    "autotask": autotask,
    "halopsa": halopsa,
    "generic": generic,
}


# docs/rules.md#1-14
def read_delivery(body: bytes, integration: Integration) -> DeliveryContent:
    """The tickets of a delivery, or why it is ignored. A ticket that states nothing but its id is an error.

    Raises UnreadableError if it has neither, or if the tool reports that it has switched its webhook off.
    """
    adapter = ADAPTERS[integration.adapter]
    try:
        content = adapter.read(body, integration)
    except UnreadableError as error:
        events = list(events_of(body))
        test = _notice(events)
        if test is not None and error.reason is UnmappedReason.NO_TICKET:
            return test
        raise _with_advice(error, adapter) from None
    if content.ignored is not None:
        return _notice([content.about or ""], content.key) or content
    return replace(content, tickets=tuple(_checked(ticket, integration) for ticket in content.tickets))


def _notice(events: Sequence[str], key: str | None = None) -> DeliveryContent | None:
    """The test call that one of these events is, or None. Raises UnreadableError if one says that no more will come."""
    if off := next(filter(is_deactivation, events), None):
        raise deactivated(off)
    test = next(filter(is_test_call, events), None)
    return DeliveryContent((), key, WebhookIgnoredReason.TEST_CALL, test) if test is not None else None


def _checked(ticket: TicketSnapshot | UnreadableError, integration: Integration) -> TicketSnapshot | UnreadableError:
    if isinstance(ticket, TicketSnapshot) and not _states_something(ticket, integration):
        name = ticket.external_id[:_QUOTED_LENGTH]
        ticket = UnreadableError(f"ticket {name}", "has nothing but its id", UnmappedReason.NO_TICKET)
    return _with_advice(ticket, ADAPTERS[integration.adapter]) if isinstance(ticket, UnreadableError) else ticket


def _states_something(ticket: TicketSnapshot, integration: Integration) -> bool:
    """Whether a ticket states more than its id and when something happened; that nobody is assigned is not enough.

    A mapping finds nobody where there is no ticket: `assignee.name || 'nobody'`.
    """
    nobody = set(map(fold_word, integration.unassigned))
    people = (ticket.assignee.id, ticket.assignee.name, ticket.assignee.email)
    is_assigned = any(word is not None and fold_word(word) not in nobody for word in people)
    stated = replace(ticket, **_NOT_A_STATE)
    return ticket.action == "deleted" or is_assigned or stated != TicketSnapshot(ticket.external_id)


def _with_advice(error: UnreadableError, adapter: Adapter) -> UnreadableError:
    if error.reason is not UnmappedReason.NO_TICKET:
        return error
    return UnreadableError(error.field, f"{error.message}; {adapter.SEND_TICKET}", error.reason)
