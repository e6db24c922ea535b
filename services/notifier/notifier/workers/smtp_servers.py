"""The mail servers that take our mails: which one is asked, and for how long one is left alone that takes none."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from notifier import metrics
from notifier.domain.smtp_result import Answer, Phase, Verdict, backoff, judge, refuses_login
from notifier.settings import Settings
from notifier.workers.smtp_connection import Connection, Smtp

log = structlog.get_logger(__name__)

_FIRST_PAUSE: Final = timedelta(seconds=0.5)
_LONGEST_PAUSE: Final = timedelta(seconds=30)


class Gate:
    """Open while a server takes mails. At first, and after a failure that concerns every mail, one goes alone until it
    is let in; beside one that is not urgent, one that is.

    So a wrong password is tried once or twice a pause, not once a connection: servers lock accounts for less.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._failures = 0
        self._closed_until = 0.0
        self._trying = False
        self.is_open = False

    @property
    def is_due(self) -> bool:
        """Closed, and its pause is over: one may try."""
        return not self.is_open and not self._trying and time.monotonic() >= self._closed_until

    @property
    def is_tried(self) -> bool:
        """Closed, and one tries it."""
        return self._trying and not self.is_open

    def admits(self, *, urgent: bool = False) -> bool:
        """True if this one may try the closed gate; it keeps the others out meanwhile, but for one that is urgent."""
        if not (self.is_due or (urgent and self.is_tried)):
            return False
        self._trying = True
        return True

    @property
    def is_proven(self) -> bool:
        """Open, and nothing has failed since the server answered a message."""
        return self.is_open and not self._failures

    def let_in(self) -> None:
        """The server accepted a login and an envelope: nobody urgent need wait for what it says to the message."""
        self._trying = False
        self.is_open = True

    def answered(self, answer: Answer) -> None:
        """What came of an attempt at the server."""
        self._trying = False
        if judge(answer) is not Verdict.SERVER:
            self._failures = 0
            self.is_open = True
            metrics.RELAY_FAILING.labels(self._name).set(0)
            metrics.LOGIN_REFUSED.labels(self._name).set(0)
            return
        self.is_open = False
        metrics.RELAY_FAILING.labels(self._name).set(1)
        login = refuses_login(answer)
        metrics.LOGIN_REFUSED.labels(self._name).set(login)
        if time.monotonic() >= self._closed_until:
            self._failures += 1
            pause = backoff(self._failures, _FIRST_PAUSE, _LONGEST_PAUSE, random.random()).total_seconds()
            self._closed_until = time.monotonic() + pause
            event = "mail_login_refused" if login else "mail_server_fails"
            about = {"relay": self._name, "failures": self._failures, "pause_seconds": pause}
            log.error(event, **about, code=answer.code, words=answer.words)

    def given_back(self) -> None:
        """The attempt that tried a closed gate ended without an answer."""
        self._trying = False


@dataclass(frozen=True, slots=True)
class Relay:
    """One mail server."""

    smtp: Smtp
    gate: Gate


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection on which a recipient was accepted."""

    relay: Relay
    connection: Connection


class Relays:
    """The servers in the order in which they are asked. The next one is asked only where one cannot be reached.

    Cannot be reached: no connection, TLS, login, sender, or 421. A recipient that one refuses is refused.
    """

    def __init__(self, settings: Settings) -> None:
        self._relays: Sequence[Relay] = [
            Relay(Smtp(server, settings), Gate(server.name)) for server in settings.mail_servers
        ]

    @property
    def are_open(self) -> bool:
        return any(relay.gate.is_open for relay in self._relays)

    @property
    def are_proven(self) -> bool:
        """True where one takes mails, and not only lets them in after a failure."""
        return any(relay.gate.is_proven for relay in self._relays)

    @property
    def are_to_be_asked(self) -> bool:
        """True where one takes mails, and another, left alone so far, may be asked whether it does."""
        return self.are_open and any(relay.gate.is_due for relay in self._relays)

    @property
    def are_due(self) -> bool:
        """True where none takes mails, and one may be tried."""
        return not self.are_open and any(relay.gate.is_due for relay in self._relays)

    @property
    def are_being_asked(self) -> bool:
        """True while one that takes nothing so far is asked."""
        return any(relay.gate.is_tried for relay in self._relays)

    async def envelope(self, recipient: str, *, urgent: bool = False) -> Opened | Answer:
        """A connection on which the recipient was accepted, or the answer that says why there is none.

        What is urgent does not wait for another that asks a server which takes nothing so far.
        """
        answer = Answer(Phase.CONNECT, None, "no mail server is asked for now")
        for relay in self._relays:
            # While one takes mails, no mail is spent on finding out whether another does: `look_back` asks that.
            if not (relay.gate.is_open or (not self.are_open and relay.gate.admits(urgent=urgent))):
                continue
            try:
                opened = await _envelope(relay, recipient)
            except BaseException:
                relay.gate.given_back()
                raise
            if isinstance(opened, Opened):
                relay.gate.let_in()
                return opened
            answer = opened
            relay.gate.answered(answer)
            self._show()
            if judge(answer) is not Verdict.SERVER:
                break
        return answer

    def answered(self, opened: Opened, answer: Answer) -> None:
        """What the server said to the message."""
        opened.relay.gate.answered(answer)
        self._show()

    async def leave(self, opened: Opened, answer: Answer) -> None:
        """The attempt is over; `answer` is the last that came on its connection."""
        await opened.relay.smtp.release(opened.connection, answer)

    async def look_back(self) -> None:
        """Ask a server that was left alone whether it takes mails again, while another one does: no mail waits."""
        for relay in self._relays:
            if self.are_open and relay.gate.admits():
                try:
                    relay.gate.answered(await relay.smtp.probe())
                finally:
                    relay.gate.given_back()

    async def close_idle(self) -> None:
        for relay in self._relays:
            await relay.smtp.close_idle()

    def _show(self) -> None:
        metrics.SERVER_BACKING_OFF.set(not self.are_open)


async def _envelope(relay: Relay, recipient: str) -> Opened | Answer:
    smtp = relay.smtp
    connection = await smtp.connect()
    if isinstance(connection, Answer):
        return connection
    answer = await smtp.envelope(connection, recipient)
    if connection.used > 1 and answer.phase is Phase.SENDER and judge(answer) is Verdict.SERVER:
        # A connection that had rested: the server may have closed it, which says nothing about the server.
        await smtp.release(connection, answer)
        connection = await smtp.connect(fresh=True)
        if isinstance(connection, Answer):
            return connection
        answer = await smtp.envelope(connection, recipient)
    if judge(answer) is Verdict.SENT:
        return Opened(relay, connection)
    await smtp.release(connection, answer)
    return answer
