"""Clients that post tickets and facts while a test stops and kills parts of the stack, and what must hold after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from support.consistency import PostedTicket
from support.scenario import Scenario
from support.topic_audit import assert_published_right, read_topics

SECONDS_BETWEEN_TICKETS = 0.5


@asynccontextmanager
async def posting(scenario: Scenario, clients: int = 3) -> AsyncIterator[None]:
    """Inside the block, clients post tickets one after the other. Of three tickets one is resolved at once, one gets a
    first response, and nobody answers the third. Each request is repeated until intake accepts it.
    """
    ending = asyncio.Event()

    async def post_tickets() -> None:
        number = 0
        while not ending.is_set():
            ticket = await post_ticket(scenario)
            for kind in (("responded", "resolved"), ("responded",), ())[number % 3]:
                await scenario.post_event_until_accepted(ticket, kind)
            number += 1
            await asyncio.sleep(SECONDS_BETWEEN_TICKETS)

    running = [asyncio.create_task(post_tickets()) for _ in range(clients)]
    try:
        yield
    finally:
        ending.set()
        await asyncio.gather(*running)


async def post_ticket(scenario: Scenario) -> PostedTicket:
    """Posts a critical ticket, again and again until intake accepts it."""
    request = scenario.ticket_request(severity=1)
    return scenario.add_ticket(request, await scenario.post_until_accepted("/v1/tickets", request))


async def assert_nothing_lost_or_doubled(scenario: Scenario) -> None:
    """Lets two more business hours pass, and checks that the APIs, the mails and the topics have everything that was
    posted and fell due, once and in order, nothing before its watermark, and nothing that turned out to be false.
    """
    await scenario.stop_clock()
    await scenario.advance_past(scenario.now + timedelta(hours=2))
    mails = await scenario.mails_without_known_repetitions()
    await scenario.assert_consistent(*scenario.tickets, mails=mails)
    assert_published_right(await read_topics(scenario.kafka), [ticket.id for ticket in scenario.tickets])
