"""Reports of mail servers (RFC 3464) about mails that they had taken: what did not arrive goes to the next address."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from notifier import store
from notifier.__main__ import app
from notifier.domain.delivery import Stored
from notifier.store.tables import journal
from prometheus_client import REGISTRY
from sqlalchemy import update
from support.notifier_api import ApiClients, api_clients
from support.notifier_events import NOON, escalation, stand_down
from support.notifier_world import World, make_world
from support.servers import MakeDatabase, SharedSink
from typer.testing import CliRunner

RECORDED = {path.stem: path.read_bytes() for path in (Path(__file__).parents[1] / "recorded" / "bounces").glob("*.eml")}
FALLBACKS = """
group_addresses:
  - { role: service_desk_team_lead, email: desk@example.com }
"""


@pytest.fixture
async def world(make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOON + timedelta(hours=1)) as made:
        text = made.directory.read_text().replace(
            "dana@example.com }", "dana@example.com, fallbacks: [dana@home.example] }"
        )
        made.directory.write_text(text + FALLBACKS)
        yield made


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[ApiClients]:
    async with api_clients(world, tmp_path) as made:
        yield made


async def told(world: World) -> Stored:
    """The mail that Dana got."""
    async with world.notifier():
        await world.receive(escalation())
        await world.quiet()
    (mail,) = await world.deliveries()
    return mail


def about(mail: Stored, name: str = "postfix_failed", recipient: str | None = None) -> bytes:
    """The recorded report, about this mail."""
    raw = RECORDED[name].replace(b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>", str(mail.message_id).encode())
    return raw.replace(b"dana@example.com", (recipient or str(mail.email)).encode())


async def report(api: ApiClients, raw: bytes, status: int = 200, *, key: str = "writing") -> Any:
    return await api.post("/v1/bounces", status, key=key, content=raw, headers={"Content-Type": "message/rfc822"})


def results(answer: Any) -> list[str]:
    return [one["result"] for one in answer["recipients"]]


async def undelivered(world: World) -> dict[str, int]:
    """What the serving process counts, whichever process took the report in."""
    async with world.engine.connect() as connection:
        return await store.undelivered(connection)


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("sla_mail_reports_total", {"result": result}) or 0


@pytest.mark.parametrize("name", ["postfix_failed", "exchange_failed", "gmail_failed", "sendmail_failed"])
async def test_what_bounced_goes_to_the_next_address(world: World, api: ApiClients, name: str) -> None:
    mail = await told(world)
    async with world.notifier():
        answer = await report(api, about(mail, name))
        assert (answer["message_id"], results(answer)) == (mail.message_id, ["bounced"])
        assert answer["recipients"][0]["delivery_id"] == str(mail.id)
        await world.quiet()
    bounced, again = await world.deliveries()
    assert (bounced.state, again.state, again.fallback_of) == ("bounced", "sent", mail.id)
    assert [sent["rcpt"] for sent in world.mails()] == ["dana@example.com", "dana@home.example"]
    assert [(event.state, event.recipient.email) for event in await world.events()] == [
        ("sent", "dana@example.com"),
        ("bounced", "dana@example.com"),
        ("sent", "dana@home.example"),
    ]
    shown = await api.get(f"/v1/deliveries/{mail.id}")
    assert shown["journal"][-1]["entry"] == "bounced"
    assert shown["journal"][-1]["recipient"] == "dana@example.com"
    assert shown["reply"].startswith("55")


async def test_each_address_bounces_once_until_none_is_left(world: World, api: ApiClients) -> None:
    mail = await told(world)
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
        await connection.execute(update(journal).values(real_at=JOURNAL.c.real_at - timedelta(minutes=10)))
    assert await undelivered(world) == {}


async def test_what_changes_nothing_is_noted_once(world: World, api: ApiClients) -> None:
    mail = await told(world)
    assert results(await report(api, about(mail, "postfix_delayed"))) == ["noted"]
    assert results(await report(api, about(mail, "postfix_delayed"))) == ["known"]
    assert results(await report(api, about(mail, "postfix_delivered"))) == ["nothing"]
    assert await world.states() == ["sent"]
    journal = (await api.get(f"/v1/deliveries/{mail.id}"))["journal"]
    assert [line["entry"] for line in journal][-2:] == ["sent", "reported"]
    assert journal[-1]["reply"].startswith("delayed for dana@example.com: connect to mail.example.com")
    assert (await api.get(f"/v1/deliveries/{mail.id}"))["reply"].startswith("250")


def forwarded(mail: Stored) -> bytes:
    """It failed for the address that Dana has her mail forwarded to, which we do not know."""
    raw = about(mail, recipient="dana@elsewhere.example")
    return raw.replace(b"Original-Recipient: rfc822;dana@elsewhere.example\n", b"")


async def test_a_mail_that_died_where_it_was_forwarded_to_goes_to_the_next_address(
    world: World, api: ApiClients
) -> None:
    mail = await told(world)
    async with world.notifier():
        assert results(await report(api, forwarded(mail))) == ["bounced"]
        assert results(await report(api, forwarded(mail))) == ["known"]
        await world.quiet()
    assert await world.states() == ["bounced", "sent"]
    assert [sent["rcpt"] for sent in world.mails()] == ["dana@example.com", "dana@home.example"]
    assert str((await world.deliveries())[0].reply).startswith("failed for dana@elsewhere.example: 550 5.1.1")
    assert results(await report(api, forwarded(mail))) == ["known"]


async def test_where_several_mails_may_have_died_that_is_noted_and_counted(world: World, api: ApiClients) -> None:
    mail = await told(world)
    async with world.notifier():
        assert results(await report(api, about(mail))) == ["bounced"]
        await world.quiet()
    before = counted("unmatched")
    assert results(await report(api, forwarded(mail))) == ["unmatched"]
    assert results(await report(api, forwarded(mail))) == ["known"]
    assert counted("unmatched") == before + 1
    assert await world.states() == ["bounced", "sent"]


async def test_a_mail_that_arrived_at_one_of_two_addresses_arrived(world: World, api: ApiClients) -> None:
    mail = await told(world)
    block = b"Final-Recipient: rfc822; ana@elsewhere.example\nAction: relayed\nStatus: 2.0.0\n\n"
    raw = forwarded(mail).replace(
        b"Final-Recipient: rfc822; dana@elsewhere", block + b"Final-Recipient: rfc822; dana@elsewhere"
    )
    assert results(await report(api, raw)) == ["nothing", "noted"]
    assert await world.states() == ["sent"]


async def test_after_the_end_only_the_stand_down_goes_on(world: World, api: ApiClients) -> None:
    mail = await told(world)
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


async def test_what_was_perhaps_sent_and_bounced_is_not_repeated(world: World, api: ApiClients) -> None:
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


async def test_while_a_mail_is_handed_over_its_report_has_to_wait(world: World, api: ApiClients) -> None:
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


async def test_a_redelivery_bounces_on_its_own(world: World, api: ApiClients) -> None:
    mail = await told(world)
    async with world.notifier():
        await api.post(f"/v1/deliveries/{mail.id}/redeliver", 201)
        await world.quiet()
        again = (await world.deliveries())[1]
        assert results(await report(api, about(again))) == ["bounced"]
        await world.quiet()
    assert await world.states() == ["sent", "bounced", "sent"]
    assert [delivery.redelivery for delivery in await world.deliveries()] == [0, 1, 1]


async def test_a_report_is_the_tenants_own_and_says_what_it_lacks(world: World, api: ApiClients) -> None:
    mail = await told(world)
    assert mail.message_id in (await report(api, about(mail), 404, key="other"))["detail"]
    await report(api, about(mail), 401, key="nobody")
    await report(api, about(mail), 403, key="reading")
    await report(api, RECORDED["postfix_failed"], 404)
    lacking = await report(api, about(mail).replace(b"Action: failed\n", b""), 422)
    assert lacking["errors"][0]["field"] == "Action"
    assert (await report(api, b"", 422))["errors"][0]["field"] == "Content-Type"
    assert (await report(api, b"x" * 1_000_001, 413))["status"] == 413
    assert await world.states() == ["sent"]


async def test_mutated_reports_are_answered_and_never_lost_in_an_error(world: World, api: ApiClients) -> None:
    mail = await told(world)
    random = Random(3464)
    for _ in range(150):
        raw = about(mail, random.choice(sorted(RECORDED)))
        for _ in range(random.randint(1, 3)):
            begin = random.randrange(len(raw))
            piece = random.choice(
                [b"", b"\x00", b"\xff\xfe", b"\n\n", b";", random.randbytes(8), raw[begin : begin + 60]]
            )
            raw = raw[:begin] + piece + raw[begin + random.randrange(80) :]
        answer = await api.clients["writing"].post("/v1/bounces", content=raw)
        assert answer.status_code in (200, 404, 422), (answer.text, raw)
    assert (await world.deliveries())[0].state in ("sent", "bounced")


async def test_a_mail_servers_pipe_needs_no_key(world: World) -> None:
    mail = await told(world)
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
        "This is no report of a mail server about a mail (RFC 3464). Content-Type is text/plain, not multipart/report.",
    )


async def test_what_a_mail_servers_pipe_cannot_hand_in_now_is_kept(world: World) -> None:
    mail = await told(world)

    def pipe(file: str = "-", **changed: str) -> tuple[int, str]:
        environment = {"TOCSIN_DATABASE_URL": world.url, "TOCSIN_DIRECTORY": str(world.directory)} | changed
        done = CliRunner().invoke(app, ["bounce", file], input=about(mail), env=environment)
        return done.exit_code, done.output

    where = world.url.rpartition("@")[2]
    for url, said in (
        ("tocsin:hush@127.0.0.1:9/notifier", "Connect call failed"),
        (f"stranger:hush@{where}", '"stranger"'),
    ):
        code, output = await to_thread(pipe, TOCSIN_DATABASE_URL=f"postgresql+asyncpg://{url}")
        assert (code, said in output, "hush" in output) == (75, True, False), output
    code, output = await to_thread(pipe, TOCSIN_DATABASE_URL="")
    assert (code, "TOCSIN_DATABASE_URL" in output) == (75, True)
    beside = world.directory.with_suffix(".new")
    world.directory.rename(beside)
    assert await to_thread(pipe) == (
        75,
        f"TOCSIN_DIRECTORY: {world.directory}: No such file or directory. Try again.\n",
    )
    beside.rename(world.directory)
    assert (await to_thread(pipe, str(beside)))[0] == 2
    assert await world.states() == ["sent"]
    assert (await to_thread(pipe))[0] == 0
