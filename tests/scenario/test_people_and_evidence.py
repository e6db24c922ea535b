"""Stories of who is told, of what turns out to be untrue, and of what was no promise at all."""

from datetime import timedelta

from tocsin.events import render_instant
from world import World, tiers


async def test_late_evidence_after_tier_2_stands_everybody_down(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    await world.reaches(world.after(hours=24))
    await world.reaches(world.after(hours=25))
    told = await world.mails(ticket, "escalation")
    assert tiers(told) == [1, 2]
    await world.happens(ticket, "resolved", at=world.after(hours=23))
    await world.settles()
    down = await world.mails(ticket, "stand_down")
    assert sorted(mail.to for mail in down) == sorted(mail.to for mail in told)
    clocks = await world.clocks(ticket)
    assert clocks["clocks"][1]["outcome"] == "met"
    assert clocks["clocks"][1]["voided"] is True
    assert clocks["ladder"] == world.simulated(ticket)["ladder"] == []
    assert (await world.escalation(ticket))["end_reason"] == "voided"


async def test_a_late_pause_moves_a_due_that_was_told_and_a_new_run_begins(world: World) -> None:
    ticket = await world.opens(severity=1)
    await world.happens(ticket, "responded")
    due = world.after(hours=24)
    await world.reaches(due)
    assert tiers(await world.mails(ticket, "escalation")) == [1]
    await world.reaches(due + timedelta(minutes=5))
    await world.happens(ticket, "paused", at=due - timedelta(minutes=30))
    await world.happens(ticket, "resumed", at=due - timedelta(minutes=15))
    await world.settles()
    assert len(await world.mails(ticket, "stand_down")) == 1
    await world.reaches(due + timedelta(minutes=15))
    first, again = await world.mails(ticket, "escalation")
    assert (first.headers["Tocsin-Run"], again.headers["Tocsin-Run"]) == ("1", "2")
    assert again.scheduled_at == render_instant(due + timedelta(minutes=15))
    assert (await world.clocks(ticket))["ladder"] == world.simulated(ticket)["ladder"]


async def test_escalated_before_and_after_a_breach(world: World) -> None:
    before = await world.opens(severity=1)
    after = await world.opens(severity=1)
    await world.happens(before, "responded")
    await world.happens(after, "responded")
    await world.comes_to(world.after(hours=23, minutes=30))
    await world.happens(before, "escalated", reason="the customer calls every five minutes")
    await world.reaches(world.after(hours=24))
    await world.comes_to(world.after(hours=24, minutes=20))
    await world.happens(after, "escalated")
    await world.reaches(world.after(hours=24, minutes=30))
    await world.reaches(world.after(hours=25, minutes=20))
    for ticket in (before, after):
        await world.told_alike(ticket)
    reasons = [mail.headers["Tocsin-Reason"] for mail in await world.mails(after, "escalation")]
    assert reasons == ["resolution_breached", "explicit", "resolution_breached"]
    assert {mail.headers["Tocsin-Reason"] for mail in await world.mails(before, "escalation")} == {"explicit"}


async def test_mail_that_is_not_answered_misses_the_answer_clock_but_moves_no_ladder(world: World) -> None:
    ticket = await world.opens(severity=4, channel="email")
    await world.climbs_to(world.after(hours=24))
    kinds = {mail.kind for mail in await world.mails(ticket)}
    assert "answer_missed" in kinds
    assert await world.mails(ticket, "escalation") == []
    await world.told_alike(ticket)


async def test_a_mishandled_request_reaches_the_team_lead_at_once(world: World) -> None:
    ticket = await world.opens(severity=3, category="mishandled_request", via="escalations", sender_is_it_contact=True)
    await world.settles()
    assert [mail.headers["Tocsin-Reason"] for mail in await world.mails(ticket, "escalation")] == ["explicit"]
    await world.told_alike(ticket)


async def test_history_mails_nobody_and_is_computed_all_the_same(world: World) -> None:
    long_ago = world.monday - timedelta(days=400)
    body = {
        "tickets": [
            {
                "source": "connectwise",
                "external_id": f"OLD-{world.monday:%Y%m%d}",
                "severity": 1,
                "opened_at": render_instant(long_ago),
                "summary": "Long ago",
                "affected_services": ["Email"],
                "contact": {"name": "Ada"},
                "customer": {"id": "acme", "name": "Acme"},
                "history": True,
                "events": [
                    {"type": "responded", "occurred_at": render_instant(long_ago + timedelta(hours=3)), "actor": "x"},
                    {"type": "resolved", "occurred_at": render_instant(long_ago + timedelta(hours=40)), "actor": "x"},
                ],
            }
        ]
    }
    answer = await world.posts("/v1/tickets/batch", body)
    assert answer["results"][0]["status"] == 201, answer
    ticket_id = answer["results"][0]["ticket"]["ticket_id"]
    await world.settles()
    clocks = await world.asks("sla-timer", f"/v1/tickets/{ticket_id}/clocks")
    assert [(c["outcome"], c["historic"]) for c in clocks["clocks"]] == [("breached", True), ("breached", True)]
    assert len(clocks["ladder"]) == 6
    sent = await world.asks("notifier", f"/v1/deliveries?ticket_id={ticket_id}")
    assert sent["items"] == []
