"""Stories with hundreds of tickets: races, kills and replicas, and still each thing is told once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from support.consistency import Ticket
from support.inbox import Mail, kinds
from support.polling import eventually
from support.story_world import World
from tocsin.instants import render_instant

SERVICES = ("intake", "sla-timer", "escalator", "notifier")
SAMPLE = slice(None, None, 10)


async def test_a_resolve_races_the_due_200_times(world: World) -> None:
    tickets = await world.opens_many(200, "responded")
    early, racing, late = tickets[:30], tickets[30:170], tickets[170:]
    due = world.after(hours=24)
    await world.comes_to(due - timedelta(milliseconds=300))
    await world.together(world.happens(ticket, "resolved") for ticket in early)
    await world.runs(rate=1)
    await world.together(world.happens(ticket, "resolved") for ticket in racing)

    async def past() -> bool:
        return world.now > due

    await eventually(past, "time runs past the due")
    await world.together(world.happens(ticket, "resolved") for ticket in late)
    await world.runs(rate=0)
    await world.reaches(due + timedelta(minutes=1))
    accepted = {ticket.id: ticket.facts[-1]["occurred_at"] for ticket in tickets}
    in_time = {ticket.id for ticket in tickets if accepted[ticket.id] <= render_instant(due)}
    assert len(early) <= len(in_time) <= len(tickets) - len(late)
    mails = await world.all_mails()
    assert not [mail for ticket_id in in_time for mail in mails[ticket_id] if mail.kind != "warning"]
    for ticket, told in zip(tickets, await world.together(map(world.clocks, tickets)), strict=True):
        assert told["clocks"][1]["outcome"] == ("met" if ticket.id in in_time else "breached")
    await world.told_alike(*tickets[SAMPLE])


async def test_every_service_is_killed_in_the_middle_of_500_tickets(world: World) -> None:
    tickets: list[Ticket] = []

    async def post() -> None:
        body = world.request(severity=1)
        tickets.append(world.opened(body, await world.insists("/v1/tickets", body)))

    async def posted(count: int) -> bool:
        return len(tickets) >= count

    async def mailed(count: int) -> bool:
        return sum(map(len, (await world.all_mails()).values())) >= count

    async def killing(progress: Callable[[int], Awaitable[bool]], *kills: tuple[int, str]) -> None:
        for count, service in kills:
            await eventually(partial(progress, count), f"{count} are {progress.__name__}")
            await world.parts.crash(service)

    kills = killing(posted, (100, "intake"), (200, "sla-timer"), (300, "escalator"), (400, "notifier"))
    await asyncio.gather(kills, world.together(post() for _ in range(500)))
    await world.parts.all_ready()
    await world.settles()

    await world.jumps_to(world.after(minutes=45, microseconds=1))
    await killing(mailed, (20, "notifier"), (60, "escalator"), (120, "sla-timer"), (200, "intake"))
    await world.parts.all_ready()
    await world.settles()
    mails = await world.all_mails()
    once = {ticket.id: await _without_known_repetitions(world, ticket, mails[ticket.id]) for ticket in tickets}
    assert {ticket.id for ticket in tickets if kinds(once[ticket.id]) != Counter(warning=1)} == set()
    await world.told_alike(*tickets[SAMPLE], mails=once)


async def test_replicas_join_and_leave_under_load(world: World) -> None:
    tickets: list[Ticket] = []
    ending = asyncio.Event()

    async def client() -> None:
        """Posts a ticket, and another once the timer knows it."""
        while not ending.is_set():
            body = world.request(severity=1)
            ticket = world.opened(body, await world.insists("/v1/tickets", body))
            tickets.append(ticket)
            known = partial(world.answers, "sla-timer", f"/v1/tickets/{ticket.id}/clocks")
            await eventually(known, "the timer knows the ticket")

    await world.runs(rate=300)
    clients = [asyncio.create_task(client()) for _ in range(4)]
    try:
        await world.parts.double(*SERVICES)
        await world.parts.crash(*SERVICES)  # the replicas take over
        await world.parts.all_ready()
        await world.parts.remove_replicas()
    finally:
        ending.set()
        await asyncio.gather(*clients)
    await world.runs(rate=0)
    await world.reaches(world.now + timedelta(hours=2))
    mails = await world.all_mails()
    once = {ticket.id: await _without_known_repetitions(world, ticket, mails[ticket.id]) for ticket in tickets}
    assert {ticket.id for ticket in tickets if kinds(once[ticket.id]) != Counter(warning=1, response_missed=1)} == set()
    await world.told_alike(*tickets[SAMPLE], mails=once)


async def _without_known_repetitions(world: World, ticket: Ticket, mails: Sequence[Mail]) -> list[Mail]:
    """Each message once. One that came twice, the notifier knows of: it died before it could note the answer."""
    once = {mail.message_id: mail for mail in mails}
    repeated = {message_id for message_id, count in Counter(mail.message_id for mail in mails).items() if count > 1}
    if repeated:
        ambiguous = {each["message_id"] for each in await world.deliveries(ticket) if each["ambiguous"]}
        assert repeated <= ambiguous
    return list(once.values())
