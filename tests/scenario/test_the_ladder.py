"""Stories of a promise that is missed: who is told, when, and who is not."""

from datetime import timedelta

from support.inbox import tiers
from support.story_world import World
from tocsin.instants import render_instant


async def test_silence_climbs_to_the_ceo_and_is_exhausted(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.climbs_to(world.after(hours=32))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2, 3, 4, 5, 6]
    assert len({mail.to for mail in await world.mails(ticket, "escalation")}) == 6
    (told,) = await world.told_alike(ticket)
    assert told["exhausted_at"] == render_instant(world.after(hours=31))
    assert (await world.escalation(ticket))["state"] == "exhausted"
    assert not any(mail.late for mail in await world.mails(ticket))


async def test_answered_late_and_resolved_in_time(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.climbs_to(world.after(hours=2))
    assert [mail.kind for mail in await world.mails(ticket)] == ["warning", "response_missed"]
    await world.happens(ticket, "responded")
    await world.comes_to(world.after(hours=20))
    await world.happens(ticket, "resolved")
    await world.reaches(world.after(hours=40))
    (told,) = await world.told_alike(ticket)
    assert [(c["clock"], c["outcome"]) for c in told["clocks"]] == [("response", "breached"), ("resolution", "met")]
    assert await world.mails(ticket, "escalation") == []


async def test_a_pause_over_the_weekend_costs_a_business_clock_nothing(world: World) -> None:
    ticket = await world.opens(severity=3)
    await world.comes_to(world.after(hours=2))
    await world.happens(ticket, "responded")
    await world.comes_to(world.after(days=4, hours=9))
    await world.happens(ticket, "paused")
    await world.comes_to(world.after(days=7))
    await world.happens(ticket, "resumed")
    due = world.after(days=7, hours=2)
    await world.reaches(due)
    (told,) = await world.told_alike(ticket)
    resolution = told["clocks"][1]
    assert (resolution["breached_at"], resolution["net_seconds"]) == (render_instant(due), 45 * 3600)
    assert [mail.scheduled_at for mail in await world.mails(ticket, "escalation")] == [render_instant(due)]


async def test_severity_raised_past_its_due_breaches_at_the_change(world: World) -> None:
    ticket = await world.opens(severity=3)
    await world.happens(ticket, "responded")
    await world.comes_to(world.after(days=2))
    await world.happens(ticket, "severity_changed", severity=1)
    await world.reaches(world.after(days=2))
    (told,) = await world.told_alike(ticket)
    assert told["clocks"][1]["breached_at"] == render_instant(world.after(days=2))
    assert tiers(await world.mails(ticket, "escalation")) == [1]


async def test_severity_lowered_at_tier_2_goes_on_later_at_tier_3(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    await world.reaches(world.after(hours=24))
    await world.reaches(world.after(hours=25))
    await world.happens(ticket, "severity_changed", severity=2)
    await world.reaches(world.after(hours=35, minutes=59))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2]
    assert (await world.escalation(ticket))["state"] == "held"
    await world.reaches(world.after(hours=36))
    await world.reaches(world.after(hours=38))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2, 3, 4]
    await world.told_alike(ticket)


async def test_acknowledged_and_held(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    await world.reaches(world.after(hours=24))
    await world.reaches(world.after(hours=25))
    await world.comes_to(world.after(hours=25, minutes=10))
    await world.happens(ticket, "acknowledged")
    await world.reaches(world.after(hours=26, minutes=9, seconds=59))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2]
    await world.reaches(world.after(hours=26, minutes=10))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2, 3]
    await world.told_alike(ticket)


async def test_resolved_a_microsecond_before_at_and_after_the_due(world: World) -> None:
    tickets = [await world.opens(severity=1) for _ in range(3)]
    for ticket in tickets:
        await world.happens(ticket, "responded")
    due = world.after(hours=24)
    await world.comes_to(due)
    early, punctual, late = tickets
    await world.happens(early, "resolved", at=due - timedelta(microseconds=1))
    await world.happens(punctual, "resolved", at=due)
    await world.comes_to(due + timedelta(microseconds=1))
    await world.happens(late, "resolved", at=due + timedelta(microseconds=1))
    await world.reaches(world.after(hours=30))
    outcomes = [told["clocks"][1]["outcome"] for told in await world.told_alike(*tickets)]
    assert outcomes == ["met", "met", "breached"]
    assert [len(await world.mails(ticket, "escalation")) for ticket in tickets] == [0, 0, 1]
    assert [len(await world.mails(ticket, "stand_down")) for ticket in tickets] == [0, 0, 1]


async def test_reopened_after_a_breach_goes_on_at_the_next_tier(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    await world.reaches(world.after(hours=24))
    await world.happens(ticket, "resolved")
    await world.comes_to(world.after(hours=48))
    await world.happens(ticket, "reopened")
    await world.reaches(world.after(hours=48, minutes=59))
    assert tiers(await world.mails(ticket, "escalation")) == [1]
    await world.reaches(world.after(hours=49))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2]
    assert len(await world.mails(ticket, "stand_down")) == 1
    await world.told_alike(ticket)


async def test_cancelled_is_told_to_nobody(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.comes_to(world.after(minutes=30))
    await world.happens(ticket, "cancelled")
    await world.reaches(world.after(hours=40))
    (told,) = await world.told_alike(ticket)
    assert {clock["outcome"] for clock in told["clocks"]} == {"cancelled"}
    assert await world.mails(ticket) == []
