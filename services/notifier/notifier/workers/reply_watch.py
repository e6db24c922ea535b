"""Detects a mail server that does not reply (docs/decisions/0043-hung-mail-servers.md)."""

from collections import deque
from typing import Final

from notifier.workers.capacity import Attempt

_SUSPICIOUS: Final = 5.0
_SUSPICIOUS_AGAIN: Final = 2.0
"""Seconds without a reply after which a server is suspected, at first and while it is known to hang."""
_USUAL_FACTOR: Final = 4
_REPLIES: Final = 20


class ReplyWatch:
    """The replies of one server to one step of a session. All instants are those of the monotonic clock, in seconds.

    `timeout` ends the step. Long before, a reply is overdue: after a few seconds, or after four times the longest of
    the last 20 replies, so that a slow server is not suspected for long.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._recent: deque[float] = deque(maxlen=_REPLIES)
        self._replied_at = 0.0
        self._overdue: list[Attempt] = []

    def limit(self, *, is_hung: bool) -> float:
        """Seconds after which a reply is overdue."""
        least = min(_SUSPICIOUS_AGAIN, self._timeout / 10) if is_hung else min(_SUSPICIOUS, self._timeout / 4)
        return min(max(least, _USUAL_FACTOR * max(self._recent, default=0.0)), self._timeout)

    def replied(self, began_at: float, now: float) -> None:
        """The server has replied to a step that began then."""
        self._recent.append(now - began_at)
        self._replied_at = now
        self._overdue.clear()

    def ended(self, attempt: Attempt) -> None:
        """The attempt waits for no reply any more: there was one, or none will be used."""
        self._overdue = [each for each in self._overdue if each is not attempt]

    def has_replied_since(self, began_at: float) -> bool:
        return self._replied_at > began_at

    def add_overdue(self, attempt: Attempt, began_at: float, now: float) -> list[Attempt]:
        """Attempts that wait for an overdue reply since the server's last one; none if it replied to others lately."""
        self._overdue.append(attempt)
        is_silent = now - self._replied_at >= (now - began_at) / 2
        return list(self._overdue) if is_silent else []
