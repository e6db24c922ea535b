"""Every query of the notifier. Rows in, values out; nothing here commits."""

from notifier.store.deliveries import (
    Filter,
    Line,
    delivery,
    journal_of,
    of_message,
    page,
    queue,
    told_since,
    undelivered,
)
from notifier.store.notifications import (
    add_deliveries,
    add_notices,
    add_tickets,
    cancel_unsent,
    of_notifications,
    withdraw,
)
from notifier.store.queue import enter_data, held, lock_urgent, of_tickets, open_notices, renew, wake_tickets
from notifier.store.writes import lock_tickets, withdrawal_reasons, write

__all__ = [
    "Filter",
    "Line",
    "add_deliveries",
    "add_notices",
    "add_tickets",
    "cancel_unsent",
    "delivery",
    "enter_data",
    "held",
    "journal_of",
    "lock_tickets",
    "lock_urgent",
    "of_message",
    "of_notifications",
    "of_tickets",
    "open_notices",
    "page",
    "queue",
    "renew",
    "told_since",
    "undelivered",
    "wake_tickets",
    "withdraw",
    "withdrawal_reasons",
    "write",
]
