"""The latest event of a delivery, and the person who was mailed last. Pure."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from tocsin.events import DeliveryEvent

from board.domain.board_ticket import LastMail


def latest_event(events: Iterable[DeliveryEvent]) -> DeliveryEvent:
    """The event with the current state of a delivery, out of one or more in any order.

    Every attempt ends in one event. A delivery that waited may then end without another attempt, and a mail that was
    accepted may bounce.
    """
    return max(events, key=_progress)


def _progress(event: DeliveryEvent) -> tuple[int, int, datetime, UUID]:
    rank = 0 if event.state == "deferred" else 2 if event.state == "bounced" else 1
    return event.attempts, rank, event.at, event.event_id


def last_mail(deliveries: Iterable[DeliveryEvent]) -> LastMail | None:
    """The person who was mailed last about a ticket, by the current states of its deliveries.

    Replies to a customer whose request was rerouted are left out: nobody was notified by them.
    """
    sent = [event for event in deliveries if event.state == "sent" and event.kind != "rerouted"]
    if not sent:
        return None
    event = max(sent, key=lambda event: (event.at, event.delivery_id))
    recipient = event.recipient
    return LastMail(name=recipient.name or recipient.email or recipient.role, role=recipient.role, at=event.at)
