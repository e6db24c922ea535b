"""Somebody who was woken taps the link in the mail: the next tier waits, and goes on by itself."""

import re
from datetime import datetime, timedelta

import httpx
from support.inbox import Mail, tiers
from support.story_world import World

LINK = re.compile(r"http://127\.0\.0\.1:\d+/ack/[\w.-]+")


def link_in(mail: Mail) -> str:
    found = LINK.findall(mail.text)
    assert len(set(found)) == 1, mail.text
    return str(found[0])


async def test_the_link_in_a_mail_holds_the_next_tier(world: World) -> None:
    ticket = await world.opens(severity=1)
    breach = world.after(hours=25)  # silence: response due 1 h + 24 h
    await world.reaches(breach + timedelta(minutes=50))
    (first,) = await world.mails(ticket, "escalation")
    async with httpx.AsyncClient() as phone:
        for _ in range(2):  # a mail scanner, then a human
            page = await phone.get(link_in(first))
            assert page.status_code == 200
            assert "<button>Acknowledge</button>" in page.text
        answers = [await phone.post(link_in(first), headers={"Accept": "application/json"}) for _ in range(2)]
    assert [answer.json()["state"] for answer in answers] == ["acknowledged", "acknowledged"]
    told = answers[0].json()["acknowledged_at"]
    ticket.facts.append({"type": "acknowledged", "occurred_at": told})
    await world.reaches(breach + timedelta(hours=1))  # when tier 2 would have been told
    assert tiers(await world.mails(ticket, "escalation")) == [1]
    await world.reaches(datetime.fromisoformat(told) + timedelta(hours=1))
    assert tiers(await world.mails(ticket, "escalation")) == [1, 2]
    await world.happens(ticket, "resolved")
    await world.settles()
    async with httpx.AsyncClient() as phone:
        gone = await phone.get(link_in(first))
    assert (gone.status_code, "Nothing to acknowledge" in gone.text) == (409, True)
    await world.told_alike(ticket)
