"""Stories of a database that was put back to an earlier copy of itself: what it forgot comes again, nobody is told
twice.
"""

import pytest
from support.inbox import tiers
from support.story_world import World
from tocsin.runtime.kafka.client import DEADLINES, TICKETS


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


@pytest.mark.parametrize(
    ("service", "topic", "source", "knows"),
    [("sla-timer", TICKETS, "intake", "clocks"), ("escalator", DEADLINES, "sla-timer", "escalation")],
)
async def test_republish_fills_what_the_topic_holds_no_more(
    world: World, service: str, topic: str, source: str, knows: str
) -> None:
    known = await world.opens(severity=1)
    await world.settles()
    await world.parts.copy_database(service)
    since = world.now
    new = await world.opens(severity=1)
    await world.climbs_to(world.after(hours=2))
    await world.together(world.happens(ticket, "escalated") for ticket in (known, new))
    await world.settles()
    before = await world.all_mails()
    await world.parts.stop(service)
    await world.parts.put_back_database(service)
    await world.parts.forget_topic(topic)
    await world.parts.start(service)
    await world.settles()
    assert not await world.answers(service, f"/v1/tickets/{new.id}/{knows}")
    await world.parts.republish(source, since)
    await world.settles()
    assert await world.all_mails() == before
    await world.told_alike(known, new)
    await world.climbs_to(world.after(hours=3, seconds=1))
    for ticket in (known, new):
        assert tiers(await world.mails(ticket, "escalation")) == [1, 2]
    await world.told_alike(known, new)
