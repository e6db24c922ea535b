"""Notices that a mail server owes replies and gives none (docs/decisions/0043-hung-mail-servers.md)."""

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
        self._overdue: list[tuple[float, Attempt]] = []

    def limit(self, *, is_hung: bool) -> float:
        """Seconds after which a reply is overdue."""
        least = min(_SUSPICIOUS_AGAIN, self._timeout / 10) if is_hung else min(_SUSPICIOUS, self._timeout / 4)
        return min(max(least, _USUAL_FACTOR * max(self._recent, default=0.0)), self._timeout)

    def replied(self, began_at: float, now: float) -> None:
        """The server has replied to a step that began then."""
        self._recent.append(now - began_at)
        self._replied_at = now

    def add_overdue(self, began_at: float, attempt: Attempt) -> list[Attempt]:
        """The attempts with an overdue reply, this one included, since whose beginning the server has not replied."""
        self._overdue.append((began_at, attempt))
        self._overdue = [(began, each) for began, each in self._overdue if began >= self._replied_at]
        return [each for _, each in self._overdue]
