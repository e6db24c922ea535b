"""Every query of the notifier. Rows in, values out; nothing here commits."""

from notifier.store.delivering import (
    enter_data,
    held,
    lock_urgent,
    of_tickets,
    open_notices,
    renew,
    wake_tickets,
)
from notifier.store.reading import listed, queue, told_since
from notifier.store.taking_in import (
    add_deliveries,
    add_notices,
    add_tickets,
    cancel_unsent,
    of_notifications,
    withdraw,
)
from notifier.store.writing import lock_tickets, withdrawal_reasons, write

__all__ = [
    "add_deliveries",
    "add_notices",
    "add_tickets",
    "cancel_unsent",
    "enter_data",
    "held",
    "listed",
    "lock_tickets",
    "lock_urgent",
    "of_notifications",
    "of_tickets",
    "open_notices",
    "queue",
    "renew",
    "told_since",
    "wake_tickets",
    "withdraw",
    "withdrawal_reasons",
    "write",
]
