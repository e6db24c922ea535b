"""Stories of a database that was put back to an earlier copy of itself: what it forgot comes again, nobody is told
twice.
"""

from datetime import timedelta

import pytest
from inbox import kinds, tiers
from world import World


@pytest.mark.parametrize("service", ["sla-timer", "escalator"])
async def test_a_database_put_back_reads_on_from_where_it_stands(world: World, service: str) -> None:
    known = await world.opens(severity=1)
    await world.settles()
    await world.parts.copy_database(service)
    new = await world.opens(severity=1)
    await world.happens(known, "responded")
    await world.climbs_to(world.after(hours=25))
    before = await world.all_mails()
    await world.parts.stop(service)
    await world.parts.put_back_database(service)
    await world.parts.start(service)
    await world.settles()
    assert await world.all_mails() == before
    await world.told_alike(known, new)
    await world.climbs_to(world.after(hours=26))
    assert tiers(await world.mails(known, "escalation")) == [1, 2, 3]
    assert tiers(await world.mails(new, "escalation")) == [1, 2]
    await world.told_alike(known, new)


async def test_republish_fills_what_the_topic_holds_no_more(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.settles()
    await world.parts.copy_database("sla-timer")
    await world.climbs_to(world.after(hours=2))
    await world.happens(ticket, "resolved")
    forgotten = await world.opens(severity=1)
    await world.settles()
    before = await world.all_mails()
    await world.parts.stop("sla-timer")
    await world.parts.put_back_database("sla-timer")
    await world.parts.forget_topic("tocsin.tickets.v1")
    await world.parts.start("sla-timer")
    await world.settles()
    assert not await world.answers("sla-timer", f"/v1/tickets/{forgotten.id}/clocks")
    await world.parts.republish("intake", since=world.after(seconds=1))
    await world.settles()
    assert await world.all_mails() == before
    await world.told_alike(ticket, forgotten)
    await world.climbs_to(world.now + timedelta(hours=1))
    assert kinds(await world.mails(forgotten)) == {"warning": 1, "response_missed": 1}
    await world.told_alike(ticket, forgotten)
