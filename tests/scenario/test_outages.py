"""Stories in which something is down: nothing is lost, nothing is told twice, nobody is paged on half the facts."""

from datetime import timedelta

from support.inbox import tiers
from support.polling import eventually
from support.story_world import World


async def test_the_timer_is_down_over_three_tiers_and_makes_up_for_each_once(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    breach = world.after(hours=24)
    await world.climbs_to(breach - timedelta(minutes=5))
    await world.parts.stop("sla-timer")
    await world.jumps_to(breach + timedelta(hours=2, minutes=30))
    await world.parts.start("sla-timer")
    await world.settles()
    told = [each for each in await world.deliveries(ticket) if each["kind"] == "escalation"]
    assert [(each["tier"], each["late"]) for each in told] == [(1, True), (2, True), (3, True)]
    assert sorted(tiers(await world.mails(ticket, "escalation"))) == [1, 2, 3]
    await world.climbs_to(breach + timedelta(hours=3))
    mails = await world.mails(ticket, "escalation")
    assert [(mail.tier, mail.late) for mail in mails[3:]] == [(4, False)]
    await world.told_alike(ticket)


async def test_kafka_is_down_for_two_hours_while_300_resolves_come_and_nobody_is_paged(world: World) -> None:
    tickets = await world.opens_many(310, "responded")
    resolved, missed = tickets[:300], tickets[300:]
    due = world.after(hours=24)
    await world.comes_to(due - timedelta(hours=1))
    await world.parts.kill("kafka")
    await world.jumps_to(due - timedelta(minutes=1))
    await world.together(world.happens(ticket, "resolved") for ticket in resolved)
    await world.jumps_to(due + timedelta(minutes=59))
    await world.parts.start("kafka")
    await world.settles()
    mails = await world.all_mails()
    paged = {ticket.id for ticket in tickets if any(mail.kind == "escalation" for mail in mails[ticket.id])}
    assert paged == {ticket.id for ticket in missed}
    await world.told_alike(*tickets[::10], *missed)


async def test_intake_is_down_and_breaches_are_told_without_proof(world: World) -> None:
    ticket, evidence = await world.opens_many(2, "responded")
    await world.climbs_to(world.after(hours=23))
    await world.parts.stop("intake")
    await world.jumps_to(world.after(hours=24, minutes=1))

    async def paged() -> bool:
        return bool(await world.mails(ticket, "escalation") and await world.mails(evidence, "escalation"))

    await eventually(paged, "the team lead is told although intake is gone")
    (mail,) = await world.mails(ticket, "escalation")
    assert "unconfirmed" in mail.text.lower()
    await world.parts.start("intake")
    await world.happens(evidence, "resolved", at=world.after(hours=23, minutes=30))
    await world.settles()
    assert tiers(await world.mails(ticket, "escalation")) == [1]
    await world.told_alike(ticket)
    assert len(await world.mails(evidence, "stand_down")) == 1
    assert (await world.clocks(evidence))["clocks"][1]["outcome"] == "met"
