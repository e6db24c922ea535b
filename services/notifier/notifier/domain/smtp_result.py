"""What follows an SMTP attempt. Pure: an answer and a delivery's past -> its next state, and when to try again."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal, assert_never


class Phase(StrEnum):
    """Where the conversation with the mail server stood when it was answered, or fell silent."""

    CONNECT = "connect"  # up to and with TLS and AUTH
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"  # from the DATA command to the answer to the final dot


class Verdict(StrEnum):
    """What an answer means for the mail it answered."""

    SENT = "sent"
    REFUSED = "refused"
    DEFERRED = "deferred"
    AMBIGUOUS = "ambiguous"  # the server may have taken it
    SERVER = "server"  # says nothing about this mail: every other one would have met the same


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's words. `code` null: none came (refused connection, timeout, reset)."""

    phase: Phase
    code: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How a delivery is tried again, in real time."""

    base: timedelta = timedelta(seconds=1)
    ceiling: timedelta = timedelta(minutes=5)
    give_up: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a delivery when an attempt at it ends. `attempts` counts this one; `age` is since it was queued.

    `withdrawn`: meanwhile it was said that this mail is not needed any more.
    """

    attempts: int
    age: timedelta
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """The state that follows; `retry_in` is set for `deferred` alone."""

    state: Literal["sent", "refused", "deferred", "cancelled", "undeliverable"]
    retry_in: timedelta | None = None


_LOGIN: Final = frozenset({530, 534, 535, 538})
_SERVER_WIDE: Final = frozenset({421, 454, *_LOGIN})
_AMBIGUOUS_CEILING: Final = timedelta(hours=1)
_SERVER_CEILING: Final = timedelta(seconds=30)


def refuses_login(answer: Answer) -> bool:
    """True where the server does not let us in: no pause mends that, somebody has to."""
    return answer.code in _LOGIN and answer.phase is not Phase.DATA


def judge(answer: Answer) -> Verdict:
    """What the answer means. AUTH, TLS, the sender's refusal and a closing server are never held against one mail."""
    if answer.phase is Phase.CONNECT or answer.phase is Phase.SENDER:
        succeeded = answer.code is not None and answer.code < 300
        return Verdict.SENT if succeeded else Verdict.SERVER
    if answer.code is None:
        return Verdict.AMBIGUOUS if answer.phase is Phase.DATA else Verdict.DEFERRED
    if answer.code in _SERVER_WIDE:
        return Verdict.SERVER
    if answer.code < 300:
        return Verdict.SENT
    return Verdict.DEFERRED if answer.code < 500 else Verdict.REFUSED


def follow(verdict: Verdict, past: Past, patience: Patience, jitter: float) -> Next:
    """What becomes of the delivery. `jitter` is a random number in [0, 1).

    A server-wide trouble never ends a mail, and once it is over its mails follow soon. An address that defers past all
    patience counts as one that refuses. An ambiguous mail is repeated at ever longer distances, since each repetition
    may be one too many, and in the end goes nowhere else: it was perhaps read.
    """
    match verdict:
        case Verdict.SENT:
            return Next("sent")
        case Verdict.REFUSED:
            return Next("refused")
        case Verdict.DEFERRED | Verdict.AMBIGUOUS | Verdict.SERVER:
            if past.withdrawn:
                return Next("cancelled")
            if past.age >= patience.give_up and verdict is not Verdict.SERVER:
                return Next("refused" if verdict is Verdict.DEFERRED else "undeliverable")
            growth, ceiling = {
                Verdict.DEFERRED: (2, patience.ceiling),
                Verdict.SERVER: (2, min(patience.ceiling, _SERVER_CEILING)),
                Verdict.AMBIGUOUS: (4, _AMBIGUOUS_CEILING),
            }[verdict]
            return Next("deferred", backoff(past.attempts, patience.base, ceiling, jitter, growth))
        case _:
            assert_never(verdict)


def backoff(failures: int, base: timedelta, ceiling: timedelta, jitter: float, growth: int = 2) -> timedelta:
    """The pause after the nth failure in a row (n from 1): exponential up to `ceiling`, its last half jittered."""
    factor: int = growth ** min(failures - 1, 15)
    whole = min(ceiling, base * factor)
    return whole * (0.5 + jitter / 2)
