"""Bounce reports (RFC 3464): a mail that did not arrive goes to the next address."""

import json
import re
from asyncio import to_thread
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from notifier.commands.app import app
from notifier.domain.delivery import Delivery
from notifier.store import journal, reports, unmatched_reports
from notifier.store.tables import JOURNAL
from sqlalchemy import update
from support.notifier_api import ApiClients, api_clients
from support.notifier_events import NOON, escalation, stand_down
from support.notifier_world import LINKS, NotifierWorld, make_world
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


@pytest.mark.parametrize("name", ["exchange_failed", "qmail_text_failed"])
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
    assert "5.1.1" in found["reply"]


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
    response = await report(api, forwarded(mail))
    assert (results(response), response["unmatched"]["reason"]) == (["unmatched"], "unmatched")
    response = await report(api, forwarded(mail))
    assert (results(response), response["unmatched"]) == (["known"], None)
    (listed,) = (await api.get("/v1/bounces", key="admin"))["items"]
    assert (listed["recipient"], listed["message_id"]) == ("dana@elsewhere.example", mail.message_id)
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


async def test_another_recipient_of_a_report_does_not_fail_our_mail(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    other = b"Final-Recipient: rfc822; copy@example.com\nStatus: 5.3.0\n\n"
    raw = about(mail, "postfix_delayed").replace(b"Final-Recipient:", other + b"Final-Recipient:", 1)
    assert results(await report(api, raw)) == ["noted", "noted"]
    assert await world.states() == ["sent"]
    raw = about(mail).replace(b"Final-Recipient:", other + b"Final-Recipient:", 1)
    response = await report(api, raw)
    assert results(response) == ["known", "bounced"]
    assert [each["recipient"] for each in response["recipients"]] == ["copy@example.com", "dana@example.com"]
    many = b"".join(other.replace(b"copy", b"copy%d" % number) for number in range(900))
    raw = about(mail).replace(b"Final-Recipient:", many + b"Final-Recipient:", 1)
    assert results(await report(api, raw)) == ["noted"] * 20 + ["known"]


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


async def test_a_report_that_names_no_mail_is_matched_by_its_envelope_sender(
    world: NotifierWorld, tmp_path: Path
) -> None:
    world.settings = {**world.settings, "bounce_address": "bounces@example.org"}
    mail = await mailed(world)
    (sent,) = world.sink.messages()
    assert re.fullmatch(r"bounces\+[a-z2-7]{32}@example\.org", sent["mail_from"])
    assert "bounces" not in str(sent["headers"])

    def text(to: str, recipient: str) -> bytes:
        words = f"Subject: failure\n\nNot delivered: {recipient}\n550 5.1.1 gone\n"
        return f"From: MAILER-DAEMON@mx.example.net\nDelivered-To: {to}\n{words}".encode()

    async with api_clients(world, tmp_path) as api:
        strange = text(f"bounces+{'a' * 32}@example.org", "dana@example.com")
        assert (await report(api, strange, 202))["unmatched"]["reason"] == "unknown"
        async with world.notifier():
            assert results(await report(api, text(sent["mail_from"], "dana@example.com"))) == ["bounced"]
            await world.quiet()
        again = world.sink.messages()[1]
        assert again["mail_from"] != sent["mail_from"]
        assert results(await report(api, text(again["mail_from"], "dana@elsewhere.example"))) == ["bounced"]
    assert (await world.states())[:2] == ["bounced", "bounced"]
    environment = {
        "TOCSIN_DATABASE_URL": world.url,
        "TOCSIN_DIRECTORY": str(world.directory),
        "TOCSIN_BOUNCE_ADDRESS": "bounces@example.org",
    }

    def pipe(**more: str) -> tuple[int, str]:
        late = text(sent["mail_from"], "dana@example.com")
        done = CliRunner().invoke(app, ["bounce", "-"], input=late, env=environment | more)
        return done.exit_code, done.output

    code, output = await to_thread(pipe)
    assert (code, "TOCSIN_ACK_KEYS" in output) == (75, True)
    code, output = await to_thread(pipe, TOCSIN_ACK_KEYS=LINKS["ack_keys"])
    assert (code, '"result":"known"' in output, str(mail.id) in output) == (0, True, True)


async def test_an_unmatched_report_is_kept_for_its_tenant(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    await report(api, about(mail), 401, key="nobody")
    await report(api, about(mail), 403, key="reading")
    assert (await report(api, b"x" * 1_000_001, 413))["status"] == 413
    assert (await report(api, b"\r\n", 422))["errors"][0]["field"] == "body"
    strange = about(mail)
    absent = f"Subject: Out of office\nAuto-Submitted: auto-replied\nIn-Reply-To: {mail.message_id}\n\nBye".encode()
    posted = {
        "unknown": await report(api, strange, 202, key="other"),
        "unreadable": await report(api, b"Subject: hello\n\nWho are you?", 202, key="other"),
        "no_bounce": await report(api, absent, 202, key="other"),
    }
    assert [one["unmatched"]["reason"] for one in posted.values()] == list(posted)
    assert (await report(api, strange, 202, key="other")) == posted["unknown"]  # a repeat is kept once
    assert [await reports_counted(world, reason) for reason in posted] == [1, 1, 1]
    assert (await api.get("/v1/bounces", key="admin"))["items"] == []
    listed = (await api.get("/v1/bounces", key="other"))["items"]
    assert listed == [one["unmatched"] for one in reversed(posted.values())]
    assert mail.message_id in listed[-1]["problem"]
    (found,) = (await api.get("/v1/bounces", key="other", reason="unknown"))["items"]
    raw = await api.clients["other"].get(f"/v1/bounces/{found['id']}")
    assert (raw.content, raw.headers["content-type"]) == (strange, "message/rfc822")
    await api.get(f"/v1/bounces/{found['id']}", 404, key="admin")
    assert await world.states() == ["sent"]


async def test_the_list_of_unmatched_reports_is_bounded(
    world: NotifierWorld, api: ApiClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unmatched_reports, "MAX_ROWS", 3)
    for number in range(5):
        await report(api, f"Subject: {number}\n\n{'x' * 90_000}".encode(), 202)
    await report(api, b"Subject: other\n\n", 202, key="other")
    page = await api.get("/v1/bounces", key="admin", limit=2)
    assert [item["subject"] for item in page["items"]] == ["4", "3"]
    assert page["items"][0]["size"] > 90_000
    page = await api.get("/v1/bounces", key="admin", cursor=page["next_cursor"])
    assert ([item["subject"] for item in page["items"]], page["next_cursor"]) == (["2"], None)
    raw = await api.clients["admin"].get(f"/v1/bounces/{page['items'][0]['id']}")
    assert len(raw.content) == unmatched_reports.MAX_RAW
    async with world.engine.begin() as connection:
        await unmatched_reports.forget(connection, timedelta(0))
        assert await unmatched_reports.load_page(connection, None, limit=1) == []


async def test_mutated_reports_are_applied_or_kept(world: NotifierWorld, api: ApiClients) -> None:
    mail = await mailed(world)
    random = Random(3464)
    for _ in range(40):
        raw = about(mail, random.choice(sorted(RECORDED)))
        for _ in range(random.randint(1, 3)):
            begin = random.randrange(len(raw))
            piece = random.choice(
                [b"", b"\x00", b"\xff\xfe", b"\n\n", b";", random.randbytes(8), raw[begin : begin + 60]]
            )
            raw = raw[:begin] + piece + raw[begin + random.randrange(40) :]
        response = await api.clients["writing"].post("/v1/bounces", content=raw)
        assert response.status_code in (200, 202), (response.text, raw)
        body = response.json()
        assert body["recipients"] or body["unmatched"], (body, raw)
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
    assert (await to_thread(pipe, RECORDED["gmail_failed"]))[0] == 0
    code, output = await to_thread(pipe, b"Subject: hello\n\n" + b"x" * 2_000_000)
    assert (code, '"reason":"unreadable"' in output) == (0, True)
    assert (await to_thread(pipe, b"\n"))[0] == 65
    listed = await to_thread(lambda: CliRunner().invoke(app, ["unmatched"], env=environment))
    assert [json.loads(line)["reason"] for line in listed.stdout.splitlines()] == ["unreadable", "unknown"]
    printed = await to_thread(lambda: CliRunner().invoke(app, ["unmatched", "1"], env=environment))
    assert printed.stdout_bytes == RECORDED["gmail_failed"]
    assert (await to_thread(lambda: CliRunner().invoke(app, ["unmatched", "9"], env=environment))).exit_code == 1
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
