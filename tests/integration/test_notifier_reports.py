"""Monthly reports on real PostgreSQL and SMTP: once for each person, after the mails about tickets, with the page."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from support.notifier_api import ApiClients
from support.notifier_events import NOON, escalation, report_ready, ticket
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOON + timedelta(seconds=1)) as made:
        yield made


async def test_a_report_is_mailed_once_to_its_person(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(report_ready(), report_ready(), report_ready(customer=None))
        await world.quiet()
        await world.receive(report_ready())
        await world.quiet()
    first, second = world.mails()
    assert (first["rcpt"], second["rcpt"]) == ("dana@example.com", "dana@example.com")
    assert {name for name in first if name.startswith("Tocsin-")} == {"Tocsin-Kind", "Tocsin-Scheduled-At"}
    assert (first["Tocsin-Kind"], first["Subject"]) == ("report", "Service levels of May 2026")
    assert first["Message-ID"] != second["Message-ID"]
    assert [delivery.message_id for delivery in await world.deliveries()] == [first["Message-ID"], second["Message-ID"]]


async def test_every_state_of_a_report_is_published(world: NotifierWorld) -> None:
    report = report_ready()
    async with world.notifier():
        await world.receive(report)
        await world.quiet()
    [event] = await world.events()
    assert (event.kind, event.state, event.ticket_id, event.cycle) == ("report", "sent", report.event_id, 1)
    assert (event.notification_id, event.recipient.person, event.recipient.rule) == (report.event_id, "dana", "reports")


async def test_mails_about_tickets_leave_before_reports(world: NotifierWorld) -> None:
    people = [f"person-{number}" for number in range(5)]
    known = "".join(f"  {each}: {{ name: {each}, email: {each}@example.com }}\n" for each in people)
    world.directory.write_text(world.directory.read_text().replace("roles:", f"{known}roles:"))
    await world.receive(*(report_ready(to=person) for person in people))
    for severity in (4, 1):
        about = ticket(ticket_id=UUID(int=severity), initial_severity=severity)
        await world.receive(escalation(about, event_id=UUID(int=severity), severity=severity, at=NOON))
    async with world.notifier():
        await world.quiet()
    kinds = [mail["Tocsin-Kind"] for mail in world.mails()]
    # The first report may overtake a mail that another connection sends; the further ones follow one by one.
    assert sorted(kinds) == ["escalation", "escalation", *["report"] * 5]
    assert kinds[3:] == ["report"] * 4


async def test_a_report_goes_to_the_next_address_of_its_person_but_to_no_group(world: NotifierWorld) -> None:
    known = world.directory.read_text().replace("dana@example.com }", "dana@example.com, fallbacks: [d@home.example] }")
    group = "own_roles: [report_reader]\ngroup_addresses: [{ role: report_reader, email: group@example.com }]\n"
    world.directory.write_text(known + group)
    world.sink.fail("refuse", code=550, recipient="dana@example.com")
    async with world.notifier():
        await world.receive(report_ready())
        await world.quiet()
        assert [mail["rcpt"] for mail in world.mails()] == ["d@home.example"]
        assert "could not be delivered to dana@example.com" in world.sink.messages()[0]["text"]
        world.sink.fail("refuse", code=550)
        await world.receive(report_ready(to="kim"))
        await world.quiet()
    assert await world.states() == ["refused", "sent", "refused", "undeliverable"]


async def test_a_report_for_a_person_who_left_the_directory_is_undeliverable(world: NotifierWorld) -> None:
    async with world.notifier():
        await world.receive(report_ready(to="nina"))
        await world.quiet()
    [delivery] = await world.deliveries()
    assert (delivery.state, delivery.reply) == ("undeliverable", "the directory does not have the person nina")


async def test_reports_are_listed_and_sent_again_on_request(world: NotifierWorld, api: ApiClients) -> None:
    async with world.notifier():
        await world.receive(report_ready())
        await world.quiet()
        [report] = (await api.get("/v1/deliveries", kind="report"))["items"]
        assert (report["person"], report["state"], report["severity"]) == ("dana", "sent", None)
        assert await api.list_ids(kind="warning") == []
        await api.post(f"/v1/deliveries/{report['id']}/redeliver", 201, json={"by": "Kim"})
        await world.quiet()
    first, again = world.mails()
    assert (first["Subject"], again["Tocsin-Redelivery"]) == (again["Subject"], "1")
    assert first["Message-ID"] != again["Message-ID"]
    assert "Redelivery 1, requested by Kim" in world.sink.messages()[1]["text"]
