"""Hundreds of tickets at once, with races, kills and replicas: each notification is still sent exactly once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest
from support.consistency import PostedTicket
from support.inbox import count_by_kind
from support.polling import eventually
from support.scenario import Scenario
from tocsin.instants import render_instant

SERVICES = ("intake", "sla-timer", "escalator", "notifier")
SAMPLE = slice(None, None, 10)


async def test_200_resolutions_race_their_deadline(scenario: Scenario) -> None:
    tickets = await scenario.open_tickets(200, "responded")
    early, racing, late = tickets[:30], tickets[30:170], tickets[170:]
    deadline = scenario.after(hours=24)
    await scenario.advance_to(deadline - timedelta(milliseconds=300))
    await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in early)
    await scenario.run_clock(rate=1)
    await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in racing)
    await eventually(lambda: scenario.now > deadline, "business time passes the deadline")
    await scenario.concurrently(scenario.post_event(ticket, "resolved") for ticket in late)
    await scenario.stop_clock()
    await scenario.advance_past(deadline + timedelta(minutes=1))
    in_time = {ticket.id for ticket in tickets if ticket.facts[-1]["occurred_at"] <= render_instant(deadline)}
    assert len(early) <= len(in_time) <= len(tickets) - len(late)
    mails = await scenario.mails_by_ticket()
    assert not [mail for ticket_id in in_time for mail in mails[ticket_id] if mail.kind != "warning"]
    for ticket, timeline in zip(tickets, await scenario.concurrently(map(scenario.clocks, tickets)), strict=True):
        assert timeline["clocks"][1]["outcome"] == ("met" if ticket.id in in_time else "breached")
    await scenario.assert_consistent(*tickets[SAMPLE])


@pytest.mark.rule("5.23")
async def test_every_service_is_killed_twice_in_the_middle_of_500_tickets(scenario: Scenario) -> None:
    tickets: list[PostedTicket] = []

    async def post_ticket() -> None:
        request = scenario.ticket_request(severity=1)
        tickets.append(scenario.add_ticket(request, await scenario.post_until_accepted("/v1/tickets", request)))

    async def posted(count: int) -> bool:
        return len(tickets) >= count

    async def mailed(count: int) -> bool:
        return sum(map(len, (await scenario.mails_by_ticket()).values())) >= count

    async def kill_when(progress: Callable[[int], Awaitable[bool]], *kills: tuple[int, str]) -> None:
        for count, service in kills:
            await eventually(partial(progress, count), f"{count} {progress.__name__}")
            await scenario.stack.crash(service)

    kills = kill_when(posted, (25, "notifier"), (50, "escalator"), (75, "sla-timer"), (250, "intake"))
    await asyncio.gather(kills, scenario.concurrently(post_ticket() for _ in range(500)))
    await scenario.stack.wait_until_ready()
    await scenario.wait_until_idle()

    await scenario.jump_to(scenario.after(minutes=45, microseconds=1))
    await kill_when(mailed, (20, "notifier"), (60, "escalator"), (120, "sla-timer"), (200, "intake"))
    await scenario.stack.wait_until_ready()
    await scenario.wait_until_idle()
    mails = await scenario.mails_without_known_repetitions()
    assert {ticket.id for ticket in tickets if count_by_kind(mails[ticket.id]) != Counter(warning=1)} == set()
    await scenario.assert_consistent(*tickets[SAMPLE], mails=mails)


@pytest.mark.rule("5.23")
async def test_replicas_join_and_leave_under_load(scenario: Scenario) -> None:
    tickets: list[PostedTicket] = []
    ending = asyncio.Event()

    async def post_tickets() -> None:
        """One after the other, as soon as sla-timer knows the one before."""
        while not ending.is_set():
            request = scenario.ticket_request(severity=1)
            ticket = scenario.add_ticket(request, await scenario.post_until_accepted("/v1/tickets", request))
            tickets.append(ticket)
            is_known = partial(scenario.exists, "sla-timer", f"/v1/tickets/{ticket.id}/clocks")
            await eventually(is_known, "sla-timer knows the ticket", every=0.1)

    await scenario.run_clock(rate=300)
    clients = [asyncio.create_task(post_tickets()) for _ in range(4)]
    try:
        await scenario.stack.add_replicas(*SERVICES)
        await scenario.stack.crash(*SERVICES)  # the replicas take over
        await scenario.stack.wait_until_ready()
        await scenario.stack.remove_replicas()
    finally:
        ending.set()
        await asyncio.gather(*clients)
    await scenario.stop_clock()
    await scenario.advance_past(scenario.now + timedelta(hours=2))
    mails = await scenario.mails_without_known_repetitions()
    expected = Counter(warning=1, response_missed=1)
    assert {ticket.id for ticket in tickets if count_by_kind(mails[ticket.id]) != expected} == set()
    await scenario.assert_consistent(*tickets[SAMPLE], mails=mails)
