"""The faults of a mail server, and a run that counts what happens to mails during one. No mail may be lost.

    make faults [MAILS=200] [ONLY="drop in DATA,450"] [REAL=1]

`make faults` prints a table. PostgreSQL and the sink run as separate processes; the sink requires STARTTLS and a login.
In each run mails are queued during the fault; some seconds later it ends, and all of them must arrive.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from uuid import UUID, uuid4

import structlog
import typer
from notifier.settings import Settings
from notifier.store.tables import DELIVERIES, JOURNAL
from prometheus_client import REGISTRY
from sqlalchemy import func, select, update

from support.notifier_events import escalation, ticket
from support.notifier_world import DIRECTORY, PATIENT, NotifierWorld, make_world
from support.polling import eventually
from support.servers import log_line, private_database
from support.tls_smtp_sink import secured_sink

FALLBACKS = DIRECTORY.replace(
    "dana: { name: Dana, email: dana@example.com }",
    "dana: { name: Dana, email: dana@example.com, fallbacks: [dana@home.example] }",
)
FAST_RETRIES: Mapping[str, Any] = {
    "retry_base": 0.05,
    "retry_ceiling": 0.5,
    "smtp_timeout": 0.5,
    "smtp_data_timeout": 0.5,
}
DEFAULTS: Mapping[str, Any] = {name: Settings.model_fields[name].default for name in (*PATIENT, *FAST_RETRIES)}
FAILING, LOGIN_REFUSED = "sla_mail_relay_failing", "sla_mail_login_refused"
HUNG = "sla_mail_relay_hung"


@dataclass(frozen=True)
class Fault:
    """A fault of the mail server.

    `sink`: as in `PUT /faults`. `settings`: the notifier's. `is_permanent`: it never ends. `alarm`: the gauge that must
    be 1 during the fault, and 0 afterwards. `lasts`: how long the fault lasts, simulated by moving the instants in the
    database back, or in real time with the notifier's default settings.
    """

    name: str
    sink: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    alarm: str | None = None
    is_permanent: bool = False
    lasts: timedelta = timedelta()


SOON_GIVEN_UP: Mapping[str, Any] = {"retry_give_up": 0.3, "smtp_timeout": 10, "smtp_data_timeout": 10}
FAULTS = (
    Fault("none", {"mode": "none"}),
    Fault("connect refused", {"mode": "refuse_connection"}, alarm=FAILING),
    Fault("slow banner", {"mode": "slow_banner", "seconds": 30}, alarm=FAILING),
    Fault("421 as greeting", {"mode": "busy"}, alarm=FAILING),
    Fault("421 at RCPT", {"mode": "refuse", "code": 421}, alarm=FAILING),
    Fault("450", {"mode": "refuse", "code": 450}),
    Fault("550 permanently", {"mode": "refuse", "code": 550, "recipient": "dana@example.com"}, is_permanent=True),
    Fault("partial refusal", {"mode": "refuse", "code": 450, "recipient": "kim@example.com"}),
    Fault("AUTH refused", {"mode": "refuse_login"}, alarm=LOGIN_REFUSED),
    Fault("TLS stripped", {"mode": "strip_tls"}, alarm=FAILING),
    Fault("drop at RCPT", {"mode": "drop"}),
    Fault("drop in DATA", {"mode": "drop_in_data"}),
    Fault("hang at EHLO", {"mode": "hang_at_ehlo"}, alarm=FAILING),
    Fault("hang at MAIL", {"mode": "hang_at_mail"}, alarm=FAILING),
    Fault("hang at RCPT", {"mode": "hang_at_rcpt"}, alarm=HUNG),
    Fault("hang after the dot", {"mode": "hang_after_dot"}, alarm=HUNG),
    Fault("reset after the dot", {"mode": "reset_after_dot"}),
    Fault("down for 30 minutes", {"mode": "refuse_connection"}, alarm=FAILING, lasts=timedelta(minutes=30)),
    Fault("down until given up", {"mode": "refuse_connection"}, SOON_GIVEN_UP, FAILING),
)


@dataclass(frozen=True)
class FaultResult:
    """What happened to the mails of one fault, counted.

    `accepted`: mails that the server accepted during the fault; `attempts`: those that ended then. `doubled`: mails
    that it accepted more than once. `unexplained`: further copies without an ambiguous attempt in the journal. `lost`:
    mails that nobody got, or that are not recorded as sent. `first` and `last`: seconds from the end of the fault, if
    it ended, to the first mail that arrived then and to the last one. `alarmed`: the gauge was 1 during the fault, and
    is 0 again.
    """

    fault: str
    mails: int
    accepted: int
    attempts: int
    sent: int
    fallback: int
    refused: int
    deferred: int
    ambiguous: int
    doubled: int
    unexplained: int
    lost: int
    first: float | None
    last: float | None
    alarmed: bool

    @property
    def is_clean(self) -> bool:
        return self.lost == 0 and self.unexplained == 0 and self.alarmed


@dataclass(frozen=True)
class FaultEnd:
    """The counts when the fault ended, at `at`; None for a permanent fault."""

    accepted: int
    attempts: int
    alarm: bool
    at: datetime | None


async def run_fault(
    world: NotifierWorld, fault: Fault, mails: int, seconds: float = 0, *, real_time: bool = False
) -> FaultResult:
    """Queues mails during the fault, ends it after `seconds`, and counts what happened to them.

    With 0 seconds the fault ends once two attempts have met it. `real_time`: a fault that lasts does so in real time.
    """
    real_time = real_time and bool(fault.lasts)
    world.directory.write_text(FALLBACKS)
    tickets = [uuid4() for _ in range(mails)]
    settings = world.settings
    world.settings = {**settings, **(DEFAULTS if real_time else FAST_RETRIES), **fault.settings}
    world.sink.clear()
    world.sink.fail(**fault.sink)
    async with world.notifier():
        await _queue_mails(world, tickets)
        if duration := fault.lasts.total_seconds() if real_time else seconds:
            await asyncio.sleep(duration)  # how long the fault lasts: there is no condition to wait for
        else:
            await _wait_for_attempts(world, tickets, 2)
        if fault.lasts and not real_time:
            await _move_back(world, tickets, fault.lasts)
            await _wait_for_attempts(world, tickets, await _count_attempts(world, tickets) + 1)
        accepted, attempts = len(world.mails()), await _count_attempts(world, tickets)
        end = FaultEnd(accepted, attempts, _alarm(fault), None if fault.is_permanent else datetime.now(UTC))
        if not fault.is_permanent:
            world.sink.fail("none")
        await world.quiet(seconds=300, every=0.1)
    world.sink.fail("none")
    world.settings = settings
    alarmed = fault.alarm is None or (end.alarm and not _alarm(fault))
    name = f"{fault.name} (real)" if real_time else fault.name
    return await _result(world, name, tickets, end, alarmed=alarmed)


def _alarm(fault: Fault) -> bool:
    return fault.alarm is not None and REGISTRY.get_sample_value(fault.alarm, {"relay": "first"}) == 1


async def _move_back(world: NotifierWorld, tickets: Sequence[UUID], lasts: timedelta) -> None:
    """Moves back the instants of the mails that wait."""
    moved = {name: DELIVERIES.c[name] - lasts for name in ("created_at", "ready_at")}
    waiting = DELIVERIES.c.state.in_(("queued", "deferred"))
    async with world.engine.begin() as connection:
        await connection.execute(update(DELIVERIES).where(waiting, DELIVERIES.c.ticket_id.in_(tickets)).values(moved))


async def _wait_for_attempts(world: NotifierWorld, tickets: Sequence[UUID], attempts: int) -> None:
    """Waits until at least so many attempts have ended."""

    async def have_ended() -> bool:
        return await _count_attempts(world, tickets) >= attempts

    await eventually(have_ended, world.states)


async def _count_attempts(world: NotifierWorld, tickets: Sequence[UUID]) -> int:
    """How many attempts have ended."""
    ended = JOURNAL.c.entry.in_(("deferred", "ambiguous", "refused", "sent"))
    query = select(func.count()).select_from(JOURNAL.join(DELIVERIES, DELIVERIES.c.id == JOURNAL.c.delivery_id))
    async with world.engine.connect() as connection:
        found = await connection.execute(query.where(ended, DELIVERIES.c.ticket_id.in_(tickets)))
    return found.scalar_one()


async def _queue_mails(world: NotifierWorld, tickets: Sequence[UUID]) -> None:
    roles = ("service_desk_team_lead", "senior_it_operations_manager")
    now = datetime.now(UTC)
    notifies = [
        escalation(ticket(ticket_id=id_), event_id=uuid4(), at=now, due_at=now, role=roles[number % 2])
        for number, id_ in enumerate(tickets)
    ]
    for start in range(0, len(notifies), 250):
        await world.receive(*notifies[start : start + 250])


async def _result(
    world: NotifierWorld, name: str, tickets: Sequence[UUID], end: FaultEnd, *, alarmed: bool
) -> FaultResult:
    copies = Counter(mail["Message-ID"] for mail in world.mails())
    query = select(DELIVERIES, JOURNAL.c.entry).join(JOURNAL, JOURNAL.c.delivery_id == DELIVERIES.c.id)
    async with world.engine.connect() as connection:
        lines = (await connection.execute(query.where(DELIVERIES.c.ticket_id.in_(tickets)))).all()
    sent = {line.message_id: line for line in lines if line.state == "sent"}
    arrived = {line.ticket_id for line in sent.values() if copies[line.message_id]}
    ambiguous = Counter(line.message_id for line in lines if line.entry == "ambiguous")
    instants = [datetime.fromisoformat(mail["received_at"]) for mail in world.sink.messages()]
    after = [(at - end.at).total_seconds() for at in instants if end.at and at > end.at]
    return FaultResult(
        fault=name,
        mails=len(tickets),
        accepted=end.accepted,
        attempts=end.attempts,
        sent=len(sent),
        fallback=sum(line.fallback_number > 0 for line in sent.values()),
        refused=sum(line.entry == "refused" for line in lines),
        deferred=sum(line.entry == "deferred" for line in lines),
        ambiguous=ambiguous.total(),
        doubled=sum(count > 1 for count in copies.values()),
        unexplained=sum(max(0, count - 1 - ambiguous[mail]) for mail, count in copies.items()),
        lost=len(set(tickets) - arrived),
        first=min(after, default=None),
        last=max(after, default=None),
        alarmed=alarmed,
    )


async def _table(mails: int, only: str, *, real: bool) -> bool:
    log_line(
        f"{'fault':28} {'mails':>5} {'accepted':>9} {'sent':>5} {'fallback':>8} {'refused':>7} {'deferred':>8} "
        f"{'ambiguous':>9} {'doubled':>7} {'unexplained':>11} {'lost':>4} {'first':>6} {'last':>6}"
    )
    clean = True
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as name,
        private_database("notifier", Path(name), durable=True) as (_, url),
        secured_sink(Path(name)) as (sink, login),
    ):
        async with make_world(url, sink, Path(name), datetime.now(UTC), **login, smtp_concurrency=16) as world:
            for fault in (fault for fault in FAULTS if not only or fault.name in only.split(",")):
                result = await run_fault(world, fault, mails, seconds=5, real_time=real)
                clean = clean and result.is_clean
                log_line(_line(result))
    return clean


def _line(result: FaultResult) -> str:
    first, last = ("-" if seconds is None else f"{seconds:.1f}" for seconds in (result.first, result.last))
    return (
        f"{result.fault:28} {result.mails:5} {result.accepted:9} {result.sent:5} {result.fallback:8} "
        f"{result.refused:7} {result.deferred:8} {result.ambiguous:9} {result.doubled:7} "
        f"{result.unexplained:11} {result.lost:4} {first:>6} {last:>6}"
        f"{'' if result.alarmed else '   the gauge did not show the fault'}"
    )


def main(
    mails: Annotated[int, typer.Option()] = 1000,
    only: Annotated[str, typer.Option()] = "",
    real: Annotated[bool, typer.Option(help="30 minutes without a server in real time, with default settings")] = False,
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    raise typer.Exit(0 if asyncio.run(_table(mails, only, real=real)) else 1)


if __name__ == "__main__":
    typer.run(main)
