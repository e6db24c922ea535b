"""Stories in which something is down: nothing is lost, nothing is told twice, nobody is paged on half the facts."""

import asyncio
from datetime import timedelta

from tocsin.events import render_instant
from world import World, eventually, tiers


async def test_the_timer_is_down_over_three_tiers_and_makes_up_for_each_once(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    breach = world.after(hours=24)
    await world.comes_to(breach - timedelta(minutes=5))
    await world.stops("sla-timer")
    world.jumps_to(breach + timedelta(hours=2, minutes=30))
    await world.starts("sla-timer")
    await world.settles()
    mails = await world.mails(ticket, "escalation")
    assert tiers(mails) == [1, 2, 3]
    assert all(mail.headers.get("Tocsin-Late") == "yes" for mail in mails)
    await world.reaches(breach + timedelta(hours=3))
    mails = await world.mails(ticket, "escalation")
    assert tiers(mails) == [1, 2, 3, 4]
    assert "Tocsin-Late" not in mails[-1].headers
    await world.told_alike(ticket)


async def test_kafka_is_down_for_two_hours_while_300_resolves_come_and_nobody_is_paged(world: World) -> None:
    tickets = [await world.opens(severity=1) for _ in range(310)]
    for ticket in tickets:
        await world.happens(ticket, "responded")
    due = world.after(hours=24)
    await world.comes_to(due - timedelta(hours=1))
    resolved, missed = tickets[:300], tickets[300:]
    await world.kills("kafka")
    world.jumps_to(due - timedelta(minutes=1))
    for ticket in resolved:
        await world.happens(ticket, "resolved")
    world.jumps_to(due + timedelta(minutes=59))
    await world.starts("kafka")
    await world.settles()
    for ticket in resolved[::50]:
        await world.told_alike(ticket)
    paged = {mail.headers["Tocsin-Ticket"] for mail in await world.all_mails() if mail.kind == "escalation"}
    assert not paged & {ticket.id for ticket in resolved}
    assert paged >= {ticket.id for ticket in missed}


async def test_intake_is_down_and_breaches_are_told_without_proof(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    await world.comes_to(world.after(hours=23))
    await world.stops("intake")
    world.jumps_to(world.after(hours=24, minutes=1))

    async def paged() -> bool:
        return bool(await world.mails(ticket, "escalation"))

    await eventually(paged, "the team lead is told although intake is gone", 60)
    (mail,) = await world.mails(ticket, "escalation")
    assert "unconfirmed" in mail.text.lower()
    await world.starts("intake")
    await world.settles()
    assert tiers(await world.mails(ticket, "escalation")) == [1]
    await world.told_alike(ticket)


async def test_a_resolve_races_the_due_200_times(world: World) -> None:
    tickets = [await world.opens(severity=1) for _ in range(200)]
    for ticket in tickets:
        await world.happens(ticket, "responded")
    due = world.after(hours=24)
    await world.comes_to(due)

    async def resolve(index: int) -> None:
        await asyncio.sleep(0)
        if index == 100:
            world.jumps_to(due + timedelta(microseconds=1))
        await world.happens(tickets[index], "resolved")

    await asyncio.gather(*(resolve(index) for index in range(200)))
    await world.reaches(due + timedelta(minutes=1))
    for ticket in tickets:
        in_time = ticket.facts[-1]["occurred_at"] <= render_instant(due)
        if in_time:
            assert await world.mails(ticket, "escalation") == []
        assert (await world.clocks(ticket))["clocks"][1]["outcome"] == ("met" if in_time else "breached")


async def test_every_service_is_killed_in_the_middle_of_500_tickets(world: World) -> None:
    tickets = [await world.opens(severity=1) for _ in range(500)]
    world.jumps_to(world.after(hours=1, seconds=1))
    for part in ("notifier", "escalator", "sla-timer", "intake"):
        await asyncio.to_thread(world.stack.crash, part)
    await world.everything_runs()
    await world.settles()
    mails = [mail for mail in await world.all_mails() if mail.headers["Tocsin-Ticket"] in {t.id for t in tickets}]
    distinct = {mail.headers["Message-ID"] for mail in mails}
    assert len(distinct) == 1000
    per_ticket = {ticket.id: set[str]() for ticket in tickets}
    for mail in mails:
        per_ticket[mail.headers["Tocsin-Ticket"]].add(mail.kind)
    assert all(kinds == {"warning", "response_missed"} for kinds in per_ticket.values())


async def test_replicas_join_and_leave_under_load(world: World) -> None:
    replicas = []
    tickets = []
    for service in ("intake", "sla-timer", "escalator", "notifier"):
        replicas.append(await asyncio.to_thread(world.stack.add_replica, service))
        tickets += [await world.opens(severity=1) for _ in range(20)]
        world.jumps_to(world.now + timedelta(minutes=50))
    for replica in replicas:
        await asyncio.to_thread(world.stack.remove_replica, replica)
        tickets += [await world.opens(severity=1) for _ in range(20)]
        world.jumps_to(world.now + timedelta(minutes=50))
    await world.reaches(world.now + timedelta(hours=2))
    mails = await world.all_mails()
    for ticket in tickets:
        mine = [mail.kind for mail in mails if mail.headers["Tocsin-Ticket"] == ticket.id]
        assert sorted(mine) == ["response_missed", "warning"]
        await world.told_alike(ticket)
