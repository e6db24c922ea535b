"""Bounce reports (RFC 3464): a mail that did not arrive goes to the next address."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from notifier.__main__ import app
from notifier.domain.delivery import Delivery
from notifier.store import journal, reports
from notifier.store.tables import JOURNAL
from sqlalchemy import update
from support.notifier_api import ApiClients
from support.notifier_events import NOON, escalation, stand_down
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink
from typer.testing import CliRunner

RECORDED = {path.stem: path.read_bytes() for path in (Path(__file__).parents[1] / "recorded" / "bounces").glob("*.eml")}
FALLBACKS = """
group_addresses:
  - { role: service_desk_team_lead, email: desk@example.com }
"""


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[NotifierWorld]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOON + timedelta(hours=1)) as made:
        text = made.directory.read_text().replace(
            "dana@example.com }", "dana@example.com, fallbacks: [dana@home.example] }"
        )
        made.directory.write_text(text + FALLBACKS)
        yield made


async def mailed(world: NotifierWorld) -> Delivery:
    """A mail that Dana got."""
    async with world.notifier():
        await world.receive(escalation())
        await world.quiet()
    (mail,) = await world.deliveries()
    return mail


def about(mail: Delivery, name: str = "postfix_failed", recipient: str | None = None) -> bytes:
    """The recorded report, changed to be about this mail."""
    raw = RECORDED[name].replace(b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>", str(mail.message_id).encode())
    return raw.replace(b"dana@example.com", (recipient or str(mail.email)).encode())


async def report(api: ApiClients, raw: bytes, status: int = 200, *, key: str = "writing") -> Any:
    return await api.post("/v1/bounces", status, key=key, content=raw, headers={"Content-Type": "message/rfc822"})


def results(response: Any) -> list[str]:
    return [recipient["result"] for recipient in response["recipients"]]


async def undelivered(world: NotifierWorld) -> dict[str, int]:
    """What the serving process counts, whichever process applied the report."""
    async with world.engine.connect() as connection:
        return await journal.count_undelivered(connection)


async def reports_counted(world: NotifierWorld, result: str) -> int:
    async with world.engine.connect() as connection:
        return (await reports.load_counts(connection)).get(result, 0)


@pytest.mark.parametrize("name", ["postfix_failed", "exchange_failed", "gmail_failed", "sendmail_failed"])
async def test_a_bounced_mail_goes_to_the_next_address(world: NotifierWorld, api: ApiClients, name: str) -> None:
    mail = await mailed(world)
    async with world.notifier():
        response = await report(api, about(mail, name))
        assert (response["message_id"], results(response)) == (mail.message_id, ["bounced"])
        assert response["recipients"][0]["delivery_id"] == str(mail.id)
        await world.quiet()
    bounced, again = await world.deliveries()
    assert (bounced.state, again.state, again.fallback_of) == ("bounced", "sent", mail.id)
    assert [sent["rcpt"] for sent in world.mails()] == ["dana@example.com", "dana@home.example"]
    assert [(event.state, event.recipient.email) for event in await world.events()] == [
        ("sent", "dana@example.com"),
        ("bounced", "dana@example.com"),
        ("sent", "dana@home.example"),
    ]
    found = await api.get(f"/v1/deliveries/{mail.id}")
    assert found["journal"][-1]["entry"] == "bounced"
    assert found["journal"][-1]["recipient"] == "dana@example.com"
    assert found["reply"].startswith("55")


async def test_each_address_bounces_once_until_none_is_left(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    for address, left in (("dana@example.com", 2), ("dana@home.example", 3), ("desk@example.com", 4)):
        async with world.notifier():
            assert results(await report(api, about(mail, recipient=address))) == ["bounced"]
            assert results(await report(api, about(mail, recipient=address))) == ["known"]
            await world.quiet()
        assert len(await world.deliveries()) == left
    assert await world.states() == ["bounced", "bounced", "bounced", "undeliverable"]
    assert len({sent["Message-ID"] for sent in world.mails()}) == 1
    assert [event.state for event in await world.events()][-1] == "undeliverable"
    assert await undelivered(world) == {"bounced": 3, "undeliverable": 1}
    async with world.engine.begin() as connection:
        await connection.execute(update(JOURNAL).values(real_at=JOURNAL.c.real_at - timedelta(minutes=10)))
    assert await undelivered(world) == {}


async def test_a_report_that_changes_nothing_is_recorded_once(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    assert results(await report(api, about(mail, "postfix_delayed"))) == ["noted"]
    assert results(await report(api, about(mail, "postfix_delayed"))) == ["known"]
    assert results(await report(api, about(mail, "postfix_delivered"))) == ["nothing"]
    assert await world.states() == ["sent"]
    entries = (await api.get(f"/v1/deliveries/{mail.id}"))["journal"]
    assert [entry["entry"] for entry in entries][-2:] == ["sent", "reported"]
    assert entries[-1]["reply"].startswith("delayed for dana@example.com: connect to mail.example.com")
    assert (await api.get(f"/v1/deliveries/{mail.id}"))["reply"].startswith("250")


def forwarded(mail: Delivery) -> bytes:
    """It failed at the address that Dana forwards her mail to, which we do not know."""
    raw = about(mail, recipient="dana@elsewhere.example")
    return raw.replace(b"Original-Recipient: rfc822;dana@elsewhere.example\n", b"")


async def test_a_mail_that_failed_after_forwarding_goes_to_the_next_address(
    world: NotifierWorld, api: ApiClients
) -> None:
    mail = await mailed(world)
    async with world.notifier():
        assert results(await report(api, forwarded(mail))) == ["bounced"]
        assert results(await report(api, forwarded(mail))) == ["known"]
        await world.quiet()
    assert await world.states() == ["bounced", "sent"]
    assert [sent["rcpt"] for sent in world.mails()] == ["dana@example.com", "dana@home.example"]
    assert str((await world.deliveries())[0].reply).startswith("failed for dana@elsewhere.example: 550 5.1.1")
    assert results(await report(api, forwarded(mail))) == ["known"]


async def test_a_report_that_may_concern_several_mails_is_recorded_and_counted(
    world: NotifierWorld, api: ApiClients
) -> None:
    mail = await mailed(world)
    async with world.notifier():
        assert results(await report(api, about(mail))) == ["bounced"]
        await world.quiet()
    assert results(await report(api, forwarded(mail))) == ["unmatched"]
    assert results(await report(api, forwarded(mail))) == ["known"]
    assert await reports_counted(world, "unmatched") == 1
    assert await reports_counted(world, "known") == 1
    assert await world.states() == ["bounced", "sent"]


async def test_a_mail_that_arrived_at_one_of_two_addresses_arrived(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    block = b"Final-Recipient: rfc822; ana@elsewhere.example\nAction: relayed\nStatus: 2.0.0\n\n"
    raw = forwarded(mail).replace(
        b"Final-Recipient: rfc822; dana@elsewhere", block + b"Final-Recipient: rfc822; dana@elsewhere"
    )
    assert results(await report(api, raw)) == ["nothing", "noted"]
    assert await world.states() == ["sent"]


async def test_after_the_end_only_the_stand_down_goes_to_another_address(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    async with world.notifier():
        await world.receive(stand_down())
        await world.quiet()
        down = (await world.deliveries())[1]
        assert results(await report(api, about(down))) == ["bounced"]
        await world.quiet()
        assert results(await report(api, about(mail))) == ["bounced"]
        await world.quiet()
    assert await world.states() == ["bounced", "bounced", "sent"]
    assert [(sent["Tocsin-Kind"], sent["rcpt"]) for sent in world.mails()] == [
        ("escalation", "dana@example.com"),
        ("stand_down", "dana@example.com"),
        ("stand_down", "dana@home.example"),
    ]


async def test_an_ambiguous_mail_that_bounced_is_not_repeated(world: NotifierWorld, api: ApiClients) -> None:
    world.settings = {**world.settings, "smtp_data_timeout": 0.3, "retry_base": 30}
    world.sink.fail("hang_after_dot")
    async with world.notifier():
        await world.receive(escalation())
        await world.reaches("deferred")
        (perhaps,) = await world.deliveries()
        assert perhaps.ambiguous
        world.sink.fail("none")
        assert results(await report(api, about(perhaps))) == ["bounced"]
        await world.quiet()
    assert await world.states() == ["bounced", "sent"]
    assert [sent["rcpt"] for sent in world.mails()] == ["dana@example.com", "dana@home.example"]


async def test_a_report_about_a_mail_in_data_must_wait(world: NotifierWorld, api: ApiClients) -> None:
    world.sink.fail("delay", seconds=3)
    async with world.notifier():
        await world.receive(escalation())
        await world.reaches("in_data")
        (mail,) = await world.deliveries()
        await report(api, about(mail), 503)
        await world.reaches("sent")
        world.sink.fail("none")
        assert results(await report(api, about(mail))) == ["bounced"]
        await world.quiet()
    assert await world.states() == ["bounced", "sent"]


async def test_a_redelivery_bounces_separately(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    async with world.notifier():
        await api.post(f"/v1/deliveries/{mail.id}/redeliver", 201)
        await world.quiet()
        again = (await world.deliveries())[1]
        assert results(await report(api, about(again))) == ["bounced"]
        await world.quiet()
    assert await world.states() == ["sent", "bounced", "sent"]
    assert [delivery.redelivery_number for delivery in await world.deliveries()] == [0, 1, 1]


async def test_a_report_is_for_its_tenant_and_the_error_names_what_it_lacks(
    world: NotifierWorld, api: ApiClients
) -> None:
    mail = await mailed(world)
    assert mail.message_id in (await report(api, about(mail), 404, key="other"))["detail"]
    await report(api, about(mail), 401, key="nobody")
    await report(api, about(mail), 403, key="reading")
    await report(api, RECORDED["postfix_failed"], 404)
    problem = await report(api, about(mail).replace(b"Action: failed\n", b""), 422)
    assert problem["errors"][0]["field"] == "Action"
    assert (await report(api, b"", 422))["errors"][0]["field"] == "Content-Type"
    assert await reports_counted(world, "unreadable") == 2
    assert await reports_counted(world, "unknown") == 2
    assert (await report(api, b"x" * 1_000_001, 413))["status"] == 413
    assert await world.states() == ["sent"]


async def test_mutated_reports_never_cause_an_internal_error(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    random = Random(3464)
    for _ in range(150):
        raw = about(mail, random.choice(sorted(RECORDED)))
        for _ in range(random.randint(1, 3)):
            begin = random.randrange(len(raw))
            piece = random.choice(
                [b"", b"\x00", b"\xff\xfe", b"\n\n", b";", random.randbytes(8), raw[begin : begin + 60]]
            )
            raw = raw[:begin] + piece + raw[begin + random.randrange(80) :]
        response = await api.clients["writing"].post("/v1/bounces", content=raw)
        assert response.status_code in (200, 404, 422), (response.text, raw)
    assert (await world.deliveries())[0].state in ("sent", "bounced")


async def test_the_command_applies_a_report_of_any_tenant(world: NotifierWorld) -> None:
    mail = await mailed(world)
    environment = {"TOCSIN_DATABASE_URL": world.url, "TOCSIN_DIRECTORY": str(world.directory)}

    def pipe(raw: bytes, **changed: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["bounce", "-"], input=raw, env=environment | changed)
        return done.exit_code, done.output

    code, output = await to_thread(pipe, about(mail))
    assert (code, '"result":"bounced"' in output) == (0, True)
    assert await world.states() == ["bounced", "queued"]
    assert await undelivered(world) == {"bounced": 1}
    assert (await to_thread(pipe, RECORDED["gmail_failed"]))[0] == 65
    code, output = await to_thread(pipe, b"Subject: hello\n\n")
    assert (code, output.strip()) == (
        65,
        "Not a delivery status notification (RFC 3464). Content-Type is text/plain, not multipart/report.",
    )
    counted = [await reports_counted(world, result) for result in ("bounced", "unknown", "unreadable")]
    assert counted == [1, 1, 1]


async def test_the_command_lets_the_mail_server_retry(world: NotifierWorld) -> None:
    mail = await mailed(world)

    def pipe(file: str = "-", **changed: str) -> tuple[int, str]:
        environment = {"TOCSIN_DATABASE_URL": world.url, "TOCSIN_DIRECTORY": str(world.directory)} | changed
        done = CliRunner().invoke(app, ["bounce", file], input=about(mail), env=environment)
        return done.exit_code, done.output

    where = world.url.rpartition("@")[2]
    for url, words in (
        ("tocsin:hush@127.0.0.1:9/notifier", "Connect call failed"),
        (f"stranger:hush@{where}", '"stranger"'),
    ):
        code, output = await to_thread(pipe, TOCSIN_DATABASE_URL=f"postgresql+asyncpg://{url}")
        assert (code, words in output, "hush" in output) == (75, True, False), output
    code, output = await to_thread(pipe, TOCSIN_DATABASE_URL="")
    assert (code, "TOCSIN_DATABASE_URL" in output) == (75, True)
    beside = world.directory.with_suffix(".new")
    world.directory.rename(beside)
    assert await to_thread(pipe) == (
        75,
        f"TOCSIN_DIRECTORY: {world.directory} cannot be read: there is no such file. Retry later.\n",
    )
    beside.rename(world.directory)
    assert (await to_thread(pipe, str(beside)))[0] == 2
    assert await world.states() == ["sent"]
    assert (await to_thread(pipe))[0] == 0
