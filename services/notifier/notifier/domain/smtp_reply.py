"""A mail server's reply, and the outcome of the attempt. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SmtpPhase(StrEnum):
    """The step of the SMTP session that the server replied to, or did not."""

    CONNECT = "connect"  # up to and including TLS and AUTH
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"  # from the DATA command to the reply to the final dot


class SmtpOutcome(StrEnum):
    """The outcome of an attempt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    AMBIGUOUS = "ambiguous"  # the server may have accepted the message
    SERVER_FAILED = "server_failed"  # concerns every mail, so it does not count against this one


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A server's reply. `code` is None if none came (connection refused, timeout, reset)."""

    phase: SmtpPhase
    code: int | None
    text: str

    @property
    def outcome(self) -> SmtpOutcome:
        """Failures of AUTH, TLS, the sender or the session concern the server, never a single mail."""
        if self.phase in (SmtpPhase.CONNECT, SmtpPhase.SENDER):
            succeeded = self.code is not None and self.code < 300
            return SmtpOutcome.ACCEPTED if succeeded else SmtpOutcome.SERVER_FAILED
        if self.code is None:
            return SmtpOutcome.AMBIGUOUS if self.phase is SmtpPhase.DATA else SmtpOutcome.DEFERRED
        if self.code in _SERVER_WIDE:
            return SmtpOutcome.SERVER_FAILED
        if self.code < 300:
            return SmtpOutcome.ACCEPTED
        return SmtpOutcome.DEFERRED if self.code < 500 else SmtpOutcome.REFUSED

    @property
    def is_accepted(self) -> bool:
        return self.outcome is SmtpOutcome.ACCEPTED

    @property
    def is_server_failure(self) -> bool:
        return self.outcome is SmtpOutcome.SERVER_FAILED

    @property
    def refuses_login(self) -> bool:
        """Whether the server rejects our login. Retries do not help; somebody must correct the credentials."""
        return self.code in _LOGIN and self.phase is not SmtpPhase.DATA

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


_LOGIN: Final = frozenset({530, 534, 535, 538})
_SERVER_WIDE: Final = frozenset({421, 454, *_LOGIN})
