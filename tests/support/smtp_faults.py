"""What happens to mails while the mail server fails in every possible way: none is lost, none is sent twice.

    make faults [MAILS=200] [ONLY="drop in DATA,450"] [REAL=1]

PostgreSQL and the sink run as separate processes; the sink requires STARTTLS and a login. In each run mails are queued
during the fault; some seconds later it ends, and all of them must arrive.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import structlog
import typer
from bench.notifier import own_database
from notifier.settings import Settings
from notifier.store.tables import DELIVERIES, JOURNAL
from prometheus_client import REGISTRY
from sqlalchemy import func, select, update

from support.notifier_events import escalation, ticket
from support.notifier_world import DIRECTORY, PATIENT, World, make_world
from support.polling import eventually
from support.servers import log_line
from support.tls_smtp_sink import secured_sink

FALLBACKS = DIRECTORY.replace(
    "dana: { name: Dana, email: dana@example.com }",
    "dana: { name: Dana, email: dana@example.com, fallbacks: [dana@home.example] }",
)
HASTY: Mapping[str, Any] = {"retry_base": 0.05, "retry_ceiling": 0.5, "smtp_timeout": 0.5, "smtp_data_timeout": 0.5}


SHIPPED: Mapping[str, Any] = {name: Settings.model_fields[name].default for name in (*PATIENT, *HASTY)}
FAILING, LOGIN_REFUSED = "sla_mail_relay_failing", "sla_mail_login_refused"


@dataclass(frozen=True)
class Fault:
    """`sink`: as in `PUT /faults`; `settings`: the notifier's; `stays`: it never ends.

    `alarm`: the gauge that must be 1 during the fault, and 0 afterwards. `lasts`: how long the fault lasts, by moving
    the database's instants back; or in real time, with the notifier's default settings.
    """

    name: str
    sink: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    alarm: str | None = None
    stays: bool = False
    lasts: timedelta = timedelta()


LITTLE_PATIENCE: Mapping[str, Any] = {"retry_give_up": 0.3, "smtp_timeout": 10, "smtp_data_timeout": 10}
FAULTS = (
    Fault("none", {"mode": "none"}),
    Fault("connect refused", {"mode": "refuse_connection"}, alarm=FAILING),
    Fault("slow banner", {"mode": "slow_banner", "seconds": 30}, alarm=FAILING),
    Fault("421 as greeting", {"mode": "busy"}, alarm=FAILING),
    Fault("421 at RCPT", {"mode": "refuse", "code": 421}, alarm=FAILING),
    Fault("450", {"mode": "refuse", "code": 450}),
    Fault("550 for ever", {"mode": "refuse", "code": 550, "recipient": "dana@example.com"}, stays=True),
    Fault("partial refusal", {"mode": "refuse", "code": 450, "recipient": "kim@example.com"}),
    Fault("AUTH refused", {"mode": "refuse_login"}, alarm=LOGIN_REFUSED),
    Fault("TLS stripped", {"mode": "strip_tls"}, alarm=FAILING),
    Fault("drop at RCPT", {"mode": "drop"}),
    Fault("drop in DATA", {"mode": "drop_in_data"}),
    Fault("hang after the dot", {"mode": "hang_after_dot"}),
    Fault("reset after the dot", {"mode": "reset_after_dot"}),
    Fault("down for 30 minutes", {"mode": "refuse_connection"}, alarm=FAILING, lasts=timedelta(minutes=30)),
    Fault("down past all patience", {"mode": "refuse_connection"}, LITTLE_PATIENCE, FAILING),
)


@dataclass(frozen=True)
class FaultResult:
    """What happened to the mails of one fault, counted.

    `meanwhile`: mails that the server accepted during the fault; `tried`: attempts that ended then. `doubled`: mails
    that it accepted more than once. `unexplained`: further copies without an ambiguous attempt in the journal. `lost`:
    mails that nobody got, or that are not recorded as sent. `last`: seconds from the end of the fault, if it ended, to
    the last mail. `alarmed`: the gauge was 1 during the fault, and is 0 again.
    """

    fault: str
    mails: int
    meanwhile: int
    tried: int
    sent: int
    fallback: int
    refused: int
    deferred: int
    ambiguous: int
    doubled: int
    unexplained: int
    lost: int
    last: float | None
    alarmed: bool

    @property
    def is_clean(self) -> bool:
        return self.lost == 0 and self.unexplained == 0 and self.alarmed


@dataclass(frozen=True)
class AtEnd:
    """The situation when the fault ended, at `over`."""

    accepted: int
    tried: int
    alarm: bool
    over: datetime | None


async def play(world: World, fault: Fault, mails: int, stands: float, *, real: bool = False) -> FaultResult:
    """Run one fault for so many seconds, or (0) until attempts have met it.

    `real`: a fault that lasts does so in real time.
    """
    world.directory.write_text(FALLBACKS)
    tickets = [uuid4() for _ in range(mails)]
    as_it_was = world.settings
    in_earnest = real and bool(fault.lasts)
    world.settings = {**as_it_was, **(SHIPPED if in_earnest else HASTY), **fault.settings}
    world.sink.clear()
    world.sink.fail(**fault.sink)
    async with world.notifier():
        await _queue(world, tickets)
        if seconds := fault.lasts.total_seconds() if in_earnest else stands:
            await asyncio.sleep(seconds)  # the fault's own time, in which nothing is waited for
        else:
            await _met(world, tickets, 2)
        if fault.lasts and not in_earnest:
            await _pass(world, tickets, fault.lasts)
            await _met(world, tickets, await _ended(world, tickets) + 1)
        accepted, tried = len(world.mails()), await _ended(world, tickets)
        at_end = AtEnd(accepted, tried, _alarm(fault), None if fault.stays else datetime.now(UTC))
        if not fault.stays:
            world.sink.fail("none")
        await world.quiet(seconds=300, every=0.1)
    world.sink.fail("none")
    world.settings = as_it_was
    alarmed = fault.alarm is None or (at_end.alarm and not _alarm(fault))
    return await _result(world, f"{fault.name}, really" if in_earnest else fault.name, tickets, at_end, alarmed=alarmed)


def _alarm(fault: Fault) -> bool:
    return fault.alarm is not None and REGISTRY.get_sample_value(fault.alarm, {"relay": "first"}) == 1


async def _pass(world: World, tickets: Sequence[UUID], lasts: timedelta) -> None:
    """Move back the instants of the mails that wait."""
    moved = {name: DELIVERIES.c[name] - lasts for name in ("created_at", "ready_at")}
    waiting = DELIVERIES.c.state.in_(("queued", "deferred"))
    async with world.engine.begin() as connection:
        await connection.execute(update(DELIVERIES).where(waiting, DELIVERIES.c.ticket_id.in_(tickets)).values(moved))


async def _met(world: World, tickets: Sequence[UUID], attempts: int) -> None:
    """Wait until at least so many attempts have ended."""

    async def met() -> bool:
        return await _ended(world, tickets) >= attempts

    await eventually(met, world.states)


async def _ended(world: World, tickets: Sequence[UUID]) -> int:
    ended = JOURNAL.c.entry.in_(("deferred", "ambiguous", "refused", "sent"))
    query = select(func.count()).select_from(JOURNAL.join(DELIVERIES, DELIVERIES.c.id == JOURNAL.c.delivery_id))
    async with world.engine.connect() as connection:
        found = await connection.execute(query.where(ended, DELIVERIES.c.ticket_id.in_(tickets)))
    return found.scalar_one()


async def _queue(world: World, tickets: Sequence[UUID]) -> None:
    roles = ("service_desk_team_lead", "senior_it_operations_manager")
    now = datetime.now(UTC)
    notifies = [
        escalation(ticket(ticket_id=id_), event_id=uuid4(), at=now, due_at=now, role=roles[number % 2])
        for number, id_ in enumerate(tickets)
    ]
    for start in range(0, len(notifies), 250):
        await world.receive(*notifies[start : start + 250])


async def _result(world: World, name: str, tickets: Sequence[UUID], at_end: AtEnd, *, alarmed: bool) -> FaultResult:
    copies = Counter(mail["Message-ID"] for mail in world.mails())
    query = select(DELIVERIES, JOURNAL.c.entry).join(JOURNAL, JOURNAL.c.delivery_id == DELIVERIES.c.id)
    async with world.engine.connect() as connection:
        lines = (await connection.execute(query.where(DELIVERIES.c.ticket_id.in_(tickets)))).all()
    sent = {line.message_id: line for line in lines if line.state == "sent"}
    arrived = {line.ticket_id for line in sent.values() if copies[line.message_id]}
    ambiguous = Counter(line.message_id for line in lines if line.entry == "ambiguous")
    last = max(datetime.fromisoformat(mail["received_at"]) for mail in world.sink.messages())
    return FaultResult(
        fault=name,
        mails=len(tickets),
        meanwhile=at_end.accepted,
        tried=at_end.tried,
        sent=len(sent),
        fallback=sum(line.fallback_number > 0 for line in sent.values()),
        refused=sum(line.entry == "refused" for line in lines),
        deferred=sum(line.entry == "deferred" for line in lines),
        ambiguous=ambiguous.total(),
        doubled=sum(count > 1 for count in copies.values()),
        unexplained=sum(max(0, count - 1 - ambiguous[mail]) for mail, count in copies.items()),
        lost=len(set(tickets) - arrived),
        last=(last - at_end.over).total_seconds() if at_end.over else None,
        alarmed=alarmed,
    )


async def _table(mails: int, only: str, *, real: bool) -> bool:
    log_line(
        f"{'fault':28} {'mails':>5} {'meanwhile':>9} {'sent':>5} {'fallback':>8} {'refused':>7} {'deferred':>8} "
        f"{'ambiguous':>9} {'doubled':>7} {'unexplained':>11} {'lost':>4} {'last':>6}"
    )
    clean = True
    with own_database() as (url, folder), secured_sink(folder) as (sink, login):
        async with make_world(url, sink, folder, datetime.now(UTC), **login, smtp_concurrency=16) as world:
            for fault in (one for one in FAULTS if not only or one.name in only.split(",")):
                fate = await play(world, fault, mails, stands=5, real=real)
                clean = clean and fate.is_clean
                log_line(_line(fate))
    return clean


def _line(fate: FaultResult) -> str:
    last = "-" if fate.last is None or fate.last < 0 else f"{fate.last:.1f}"
    return (
        f"{fate.fault:28} {fate.mails:5} {fate.meanwhile:9} {fate.sent:5} {fate.fallback:8} {fate.refused:7} "
        f"{fate.deferred:8} {fate.ambiguous:9} {fate.doubled:7} {fate.unexplained:11} {fate.lost:4} {last:>6}"
        f"{'' if fate.alarmed else '   the alarm did not follow the fault'}"
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
