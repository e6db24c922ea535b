"""Stories of who is told, and of what turns out to be untrue."""

from datetime import timedelta

from support.inbox import tiers
from support.story_world import World
from tocsin.instants import render_instant

OTHER_CUSTOMER = {"id": "globex", "name": "Globex"}


async def test_late_evidence_after_tier_2_stands_everybody_down(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    await world.climbs_to(world.after(hours=25))
    told = await world.mails(ticket, "escalation")
    assert tiers(told) == [1, 2]
    await world.happens(ticket, "resolved", at=world.after(hours=23))
    await world.settles()
    down = await world.mails(ticket, "stand_down")
    assert sorted(mail.to for mail in down) == sorted(mail.to for mail in told)
    clocks = await world.clocks(ticket)
    assert clocks["clocks"][1]["outcome"] == "met"
    assert clocks["clocks"][1]["voided"] is True
    assert clocks["ladder"] == []
    assert (await world.escalation(ticket))["end_reason"] == "voided"
    assert {delivery["state"] for delivery in await world.deliveries(ticket)} == {"sent"}


async def test_a_late_pause_moves_a_due_that_was_told_and_a_new_run_begins(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    due = world.after(hours=24)
    await world.climbs_to(due)
    assert tiers(await world.mails(ticket, "escalation")) == [1]
    await world.comes_to(due + timedelta(minutes=5))
    await world.happens(ticket, "paused", at=due - timedelta(minutes=30))
    await world.happens(ticket, "resumed", at=due - timedelta(minutes=15))
    await world.settles()
    assert len(await world.mails(ticket, "stand_down")) == 1
    assert (await world.clocks(ticket))["ladder"] == []
    await world.climbs_to(due + timedelta(minutes=15))
    first, again = await world.mails(ticket, "escalation")
    assert (first.headers["Tocsin-Run"], again.headers["Tocsin-Run"]) == ("1", "2")
    assert again.scheduled_at == render_instant(due + timedelta(minutes=15))
    assert [step["at"] for step in (await world.clocks(ticket))["ladder"]] == [again.scheduled_at]
    ladder = await world.escalation(ticket)
    assert (ladder["run"], [step["at"] for step in ladder["told"]]) == (2, [again.scheduled_at])


async def test_escalated_before_and_after_a_breach(world: World) -> None:
    before = await world.opens(severity=1)
    after = await world.opens(severity=1)
    await world.happens(before, "responded")
    await world.happens(after, "responded")
    await world.climbs_to(world.after(hours=23))
    await world.comes_to(world.after(hours=23, minutes=30))
    await world.happens(before, "escalated", reason="the customer calls every five minutes")
    await world.climbs_to(world.after(hours=24))
    await world.comes_to(world.after(hours=24, minutes=20))
    await world.happens(after, "escalated")
    await world.climbs_to(world.after(hours=25, minutes=20))
    await world.told_alike(before, after)
    reasons = [mail.reason for mail in await world.mails(after, "escalation")]
    assert reasons == ["resolution_breached", "explicit", "resolution_breached"]
    assert {mail.reason for mail in await world.mails(before, "escalation")} == {"explicit"}


async def test_a_vacant_tier_is_skipped_and_said(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.climbs_to(world.after(hours=25))
    world.directory.vacate("senior_it_operations_manager")
    world.directory.vacate("it_operations_director")
    await world.climbs_to(world.after(hours=26))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 4]
    ladder = await world.escalation(ticket)
    assert [(step["tier"], step["skipped"]) for step in ladder["told"]] == [(1, []), (4, [2, 3])]
    await world.climbs_to(world.after(hours=29))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 4, 5, 6]
    ladder = await world.escalation(ticket)
    assert (ladder["state"], ladder["exhausted"]) == ("exhausted", "vacant")
    mailed = [(mail.scheduled_at, mail.reason) for mail in await world.mails(ticket, "escalation")]
    assert mailed == [(step["at"], step["reason"]) for step in (await world.clocks(ticket))["ladder"][:4]]


async def test_an_account_manager_of_ones_own_and_the_one_for_everybody(world: World) -> None:
    own = world.directory.appoint("account_manager", "ines.moreau", customer="globex")
    acme = await world.opens(severity=1)
    globex = await world.opens(severity=1, customer=OTHER_CUSTOMER)
    await world.climbs_to(world.after(hours=28))
    await world.told_alike(acme, globex)
    ours, theirs = [(await world.mails(ticket, "escalation")) for ticket in (acme, globex)]
    assert [mail.to for mail in ours[:3]] == [mail.to for mail in theirs[:3]]
    assert (ours[3].to, theirs[3].to) == (world.directory.email("noor.haddad"), own)
    rules = [(await world.deliveries(ticket))[-1]["rule"] for ticket in (acme, globex)]
    assert rules == ["default", "customer globex"]


async def test_mail_that_is_not_answered_misses_the_answer_clock_but_moves_no_ladder(world: World) -> None:
    ticket = await world.opens(severity=4, channel="email")
    punctual = await world.opens(severity=4, channel="email")
    due = world.after(hours=24)
    await world.climbs_to(due - timedelta(microseconds=2))
    await world.comes_to(due)
    await world.happens(punctual, "responded")
    await world.climbs_to(due)
    (missed,) = await world.mails(ticket, "answer_missed")
    assert (missed.scheduled_at, missed.headers["Tocsin-Clock"]) == (render_instant(due), "answer")
    assert await world.mails(punctual, "answer_missed") == []
    assert await world.mails(ticket, "escalation") == []
    told = await world.told_alike(ticket, punctual)
    outcomes = [clock["outcome"] for one in told for clock in one["clocks"] if clock["clock"] == "answer"]
    assert outcomes == ["breached", "met"]


async def test_a_mishandled_request_reaches_the_team_lead_at_once(world: World) -> None:
    ticket = await world.opens(severity=3, category="mishandled_request", via="escalations", sender_is_it_contact=True)
    await world.settles()
    assert [mail.reason for mail in await world.mails(ticket, "escalation")] == ["explicit"]
    await world.told_alike(ticket)


async def test_history_mails_nobody_and_is_computed_all_the_same(world: World) -> None:
    long_ago = world.monday - timedelta(days=400)
    body = world.request(severity=1, opened_at=render_instant(long_ago), history=True)
    happened = [("responded", 3), ("resolved", 40)]
    events = [
        {"type": kind, "occurred_at": render_instant(long_ago + timedelta(hours=hours)), "actor": "ada"}
        for kind, hours in happened
    ]
    answer = await world.posts("/v1/tickets/batch", {"tickets": [body | {"events": events}]})
    (result,) = answer["results"]
    assert result["status"] == 201, result
    ticket = world.opened(body, result["ticket"])
    ticket.facts += events
    await world.settles()
    clocks = await world.clocks(ticket)
    assert [(clock["outcome"], clock["historic"]) for clock in clocks["clocks"]] == [("breached", True)] * 2
    assert len(clocks["ladder"]) == 6
    assert await world.deliveries(ticket) == []
    assert await world.mails(ticket) == []
