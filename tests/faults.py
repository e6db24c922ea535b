"""What becomes of mails while the mail server fails in every way that it can: nobody is missed, nobody told twice.

    make faults [MAILS=200] [ONLY="drop in DATA,450"]

Real PostgreSQL and the sink are processes of their own. In each story mails are queued while the fault stands; some
seconds later it ends, and all of them have to arrive.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import structlog
import typer
from bench.notifier import own_servers
from notifier.tables import deliveries, journal
from notifier_events import escalation, ticket
from notifier_world import DIRECTORY, World, eventually, world
from servers import tell
from sqlalchemy import func, select, update

FALLBACKS = DIRECTORY.replace(
    "dana: { name: Dana, email: dana@example.com }",
    "dana: { name: Dana, email: dana@example.com, fallbacks: [dana@home.example] }",
)
HASTY: Mapping[str, Any] = {"retry_base": 0.05, "retry_ceiling": 0.5, "smtp_timeout": 0.5, "smtp_data_timeout": 0.5}


@dataclass(frozen=True)
class Fault:
    """`sink`: as in `PUT /faults`; `settings`: the notifier's while it stands, `stays`: it never ends.

    `lasts`: so much later, by the database's instants, which are moved back, it stands still.
    """

    name: str
    sink: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    stays: bool = False
    lasts: timedelta = timedelta()


FAULTS = (
    Fault("none", {"mode": "none"}),
    Fault("connect refused", {"mode": "refuse_connection"}),
    Fault("slow banner", {"mode": "slow_banner", "seconds": 30}),
    Fault("421 as greeting", {"mode": "busy"}),
    Fault("421 at RCPT", {"mode": "refuse", "code": 421}),
    Fault("450", {"mode": "refuse", "code": 450}),
    Fault("550 for ever", {"mode": "refuse", "code": 550, "recipient": "dana@example.com"}, stays=True),
    Fault("partial refusal", {"mode": "refuse", "code": 450, "recipient": "kim@example.com"}),
    Fault("AUTH refused", {"mode": "refuse_login"}),
    Fault("TLS stripped", {"mode": "none"}, {"smtp_tls": "starttls"}),
    Fault("drop at RCPT", {"mode": "drop"}),
    Fault("drop in DATA", {"mode": "drop_in_data"}),
    Fault("hang after the dot", {"mode": "hang_after_dot"}),
    Fault("reset after the dot", {"mode": "reset_after_dot"}),
    Fault("down for 30 minutes", {"mode": "refuse_connection"}, lasts=timedelta(minutes=30)),
    Fault("down past all patience", {"mode": "refuse_connection"}, {"retry_give_up": 0.3}),
)


@dataclass(frozen=True)
class Fate:
    """What became of the mails of one fault, counted.

    `doubled`: mails that the server took more than once. `unexplained`: copies beyond the first for which no ambiguous
    attempt is in the journal. `lost`: mails that nobody got, or that are not noted as sent.
    """

    fault: str
    mails: int
    sent: int
    fallback: int
    deferred: int
    ambiguous: int
    doubled: int
    unexplained: int
    lost: int
    seconds: float

    @property
    def is_clean(self) -> bool:
        return self.lost == 0 and self.unexplained == 0


async def play(house: World, fault: Fault, mails: int, stands: float) -> Fate:
    """The story of one fault, which stands for so many seconds, or (0) until it was met."""
    house.directory.write_text(FALLBACKS)
    tickets = [uuid4() for _ in range(mails)]
    as_it_was = house.settings
    house.settings = {**as_it_was, **HASTY, **fault.settings}
    house.sink.clear()
    house.sink.fail(**fault.sink)
    begun = time.perf_counter()
    async with house.notifier():
        await _queue(house, tickets)
        if stands:
            await asyncio.sleep(stands)  # the fault's own time, in which nothing is waited for
        else:
            await _met(house, tickets, 2)
        if fault.lasts:
            await _pass(house, tickets, fault.lasts)
            await _met(house, tickets, await _ended(house, tickets) + 2)
    house.settings = {**as_it_was, **HASTY}
    if not fault.stays:
        house.sink.fail("none")
    async with house.notifier():
        await house.quiet(seconds=300, every=0.1)
    seconds = time.perf_counter() - begun
    house.sink.fail("none")
    house.settings = as_it_was
    return await _fate(house, fault.name, tickets, seconds)


async def _pass(house: World, tickets: Sequence[UUID], lasts: timedelta) -> None:
    """What waits has waited for so much longer."""
    moved = {name: deliveries.c[name] - lasts for name in ("created_at", "ready_at")}
    waiting = deliveries.c.state.in_(("queued", "deferred"))
    async with house.engine.begin() as connection:
        await connection.execute(update(deliveries).where(waiting, deliveries.c.ticket_id.in_(tickets)).values(moved))


async def _met(house: World, tickets: Sequence[UUID], attempts: int) -> None:
    """Returns when so many attempts, or more, have come to an end."""

    async def met() -> bool:
        return await _ended(house, tickets) >= attempts

    await eventually(met, house.states)


async def _ended(house: World, tickets: Sequence[UUID]) -> int:
    ended = journal.c.entry.in_(("deferred", "ambiguous", "refused", "sent"))
    query = select(func.count()).select_from(journal.join(deliveries, deliveries.c.id == journal.c.delivery_id))
    async with house.engine.connect() as connection:
        found = await connection.execute(query.where(ended, deliveries.c.ticket_id.in_(tickets)))
    return found.scalar_one()


async def _queue(house: World, tickets: Sequence[UUID]) -> None:
    roles = ("service_desk_team_lead", "senior_it_operations_manager")
    now = datetime.now(UTC)
    notices = [
        escalation(ticket(ticket_id=id_), event_id=uuid4(), at=now, due_at=now, role=roles[number % 2])
        for number, id_ in enumerate(tickets)
    ]
    for start in range(0, len(notices), 250):
        await house.take(*notices[start : start + 250])


async def _fate(house: World, name: str, tickets: Sequence[UUID], seconds: float) -> Fate:
    copies = Counter(mail["Message-ID"] for mail in house.mails())
    query = select(deliveries, journal.c.entry).join(journal, journal.c.delivery_id == deliveries.c.id)
    async with house.engine.connect() as connection:
        lines = (await connection.execute(query.where(deliveries.c.ticket_id.in_(tickets)))).all()
    sent = {line.message_id: line for line in lines if line.state == "sent"}
    arrived = {line.ticket_id for line in sent.values() if copies[line.message_id]}
    ambiguous = Counter(line.message_id for line in lines if line.entry == "ambiguous")
    return Fate(
        fault=name,
        mails=len(tickets),
        sent=len(sent),
        fallback=sum(line.fallback > 0 for line in sent.values()),
        deferred=sum(line.entry == "deferred" for line in lines),
        ambiguous=ambiguous.total(),
        doubled=sum(count > 1 for count in copies.values()),
        unexplained=sum(max(0, count - 1 - ambiguous[mail]) for mail, count in copies.items()),
        lost=len(set(tickets) - arrived),
        seconds=seconds,
    )


async def _table(mails: int, only: str) -> bool:
    tell(
        f"{'fault':24} {'mails':>6} {'sent':>6} {'fallback':>8} {'deferred':>8} "
        f"{'ambiguous':>9} {'doubled':>7} {'unexplained':>11} {'lost':>5} {'s':>6}"
    )
    clean = True
    with own_servers() as (url, sink, folder):
        async with world(url, sink, folder, datetime.now(UTC), smtp_concurrency=16) as house:
            for fault in (one for one in FAULTS if not only or one.name in only.split(",")):
                fate = await play(house, fault, mails, stands=5)
                clean = clean and fate.is_clean
                tell(
                    f"{fate.fault:24} {fate.mails:6} {fate.sent:6} {fate.fallback:8} {fate.deferred:8} "
                    f"{fate.ambiguous:9} {fate.doubled:7} {fate.unexplained:11} {fate.lost:5} {fate.seconds:6.1f}"
                )
    return clean


def main(mails: Annotated[int, typer.Option()] = 1000, only: Annotated[str, typer.Option()] = "") -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    raise typer.Exit(0 if asyncio.run(_table(mails, only)) else 1)


if __name__ == "__main__":
    typer.run(main)
