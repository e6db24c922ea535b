"""The SMTP sink accepts mail, shows it exactly, and fails on request."""

import ssl
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pytest
from support.servers import SharedSink, running
from support.tls_smtp_sink import secured_sink
from tocsin_local.loopback import free_port
from tocsin_local.smtp import SmtpSink


def mail(subject: str = "Überfällig: SR-1042", to: str = "on-call@example.org") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "tocsin@example.org", to, subject
    message["Tocsin-Kind"] = "escalation"
    message.set_content("Zeile eins\nZeile zwei\n")
    message.add_alternative("<p>Zeile <b>eins</b></p>", subtype="html")
    return message


async def send(sink: SharedSink, message: EmailMessage, patience: float = 5) -> list[str]:
    host, port = sink.address.split(":")
    refused, _ = await aiosmtplib.send(message, hostname=host, port=int(port), timeout=patience, start_tls=False)
    return list(refused)


async def test_a_mail_is_shown_with_its_headers_and_both_bodies(smtp_sink: SharedSink) -> None:
    await send(smtp_sink, mail())
    [message] = smtp_sink.messages()
    assert set(message) == {"id", "received_at", "mail_from", "rcpt_to", "subject", "headers", "text", "html"}
    assert message["subject"] == "Überfällig: SR-1042"
    assert message["mail_from"] == "tocsin@example.org"
    assert message["rcpt_to"] == ["on-call@example.org"]
    assert ["Tocsin-Kind", "escalation"] in message["headers"]
    assert message["text"] == "Zeile eins\nZeile zwei\n"
    assert message["html"] == "<p>Zeile <b>eins</b></p>\n"


async def test_addresses_can_be_utf_8(smtp_sink: SharedSink) -> None:
    await send(smtp_sink, mail(to="jürgen@exämple.org"))
    assert smtp_sink.messages()[0]["rcpt_to"] == ["jürgen@exämple.org"]


async def test_mails_are_listed_oldest_first_and_can_be_deleted(smtp_sink: SharedSink) -> None:
    for number in range(3):
        await send(smtp_sink, mail(subject=f"mail {number}"))
    assert [message["subject"] for message in smtp_sink.messages()] == ["mail 0", "mail 1", "mail 2"]
    smtp_sink.clear()
    assert smtp_sink.messages() == []


async def test_refuse_replies_with_the_code_and_accepts_nothing(smtp_sink: SharedSink) -> None:
    smtp_sink.fail("refuse", code=550)
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await send(smtp_sink, mail())
    assert refused.value.recipients[0].code == 550
    assert smtp_sink.messages() == []


async def test_a_fault_for_one_recipient_does_not_affect_another(smtp_sink: SharedSink) -> None:
    smtp_sink.fail("refuse", recipient="Gone@example.org")
    refused = await send(smtp_sink, mail(to="gone@example.org, here@example.org"))
    assert refused == ["gone@example.org"]
    assert smtp_sink.messages()[0]["rcpt_to"] == ["here@example.org"]


async def test_delay_replies_later(smtp_sink: SharedSink) -> None:
    smtp_sink.fail("delay", seconds=0.3)
    with pytest.raises(aiosmtplib.SMTPReadTimeoutError):
        await send(smtp_sink, mail(), patience=0.1)
    await send(smtp_sink, mail(), patience=5)


@pytest.mark.parametrize("mode", ["hang_after_dot", "reset_after_dot"])
async def test_faults_after_the_dot_accept_the_mail_without_a_reply(smtp_sink: SharedSink, mode: str) -> None:
    smtp_sink.fail(mode)
    with pytest.raises((aiosmtplib.SMTPException, OSError)):
        await send(smtp_sink, mail(), patience=0.5)
    assert len(smtp_sink.messages()) == 1


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("refuse_connection", "Connect call failed"),
        ("slow_banner", "[Tt]imed out"),
        ("busy", "busy on request"),
        ("refuse_login", "authentication required"),
        ("drop", "EOF|[Cc]onnection"),
        ("drop_in_data", "EOF|[Cc]onnection"),
    ],
)
async def test_faults_before_the_dot_accept_nothing_and_end_when_the_fault_is_removed(
    smtp_sink: SharedSink, mode: str, message: str
) -> None:
    smtp_sink.fail(mode)
    with pytest.raises((aiosmtplib.SMTPException, OSError), match=message):
        await send(smtp_sink, mail(), patience=0.5)
    smtp_sink.fail("none")
    assert smtp_sink.messages() == []
    await send(smtp_sink, mail())
    assert len(smtp_sink.messages()) == 1


async def test_with_a_certificate_mail_needs_starttls_and_a_login(tmp_path: Path) -> None:
    with secured_sink(tmp_path) as (sink, settings):
        host, port = sink.address.split(":")

        async def sent(*, start_tls: bool = True, username: str = "tocsin", password: str = "") -> None:
            await aiosmtplib.send(
                mail(),
                hostname=host,
                port=int(port),
                start_tls=start_tls,
                tls_context=ssl.create_default_context(cafile=settings["smtp_ca"]),
                username=username or None,
                password=password or settings["smtp_password"],
            )

        for wrong, message in (
            ({"start_tls": False}, "AUTH extension is not supported"),
            ({"start_tls": False, "username": ""}, "STARTTLS"),
            ({"username": ""}, "Authentication required"),
            ({"password": "another"}, "535"),
        ):
            with pytest.raises(aiosmtplib.SMTPException, match=message):
                await sent(**wrong)
        await sent()
        sink.fail("refuse_login")
        with pytest.raises(aiosmtplib.SMTPAuthenticationError, match="authentication by LOGIN refused on request"):
            await sent()
        sink.fail("strip_tls")
        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            await sent()
        assert len(sink.messages()) == 1
        await sent(start_tls=False, username="")  # a client that accepts the missing TLS succeeds
        assert len(sink.messages()) == 2


def test_an_unknown_fault_is_rejected(smtp_sink: SharedSink) -> None:
    answer = httpx.put(f"{smtp_sink.inbox}/faults", json={"mode": "explode"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "mode"


def test_the_inbox_has_a_page(smtp_sink: SharedSink) -> None:
    page = httpx.get(smtp_sink.inbox)
    assert page.status_code == 200
    assert "<title>tocsin inbox</title>" in page.text


async def test_mails_survive_the_sink(tmp_path: Path) -> None:
    part = SmtpSink(tmp_path / "smtp", free_port(), free_port())
    shared = SharedSink(part.address, part.inbox)
    with running(part, tmp_path) as process:
        await send(shared, mail(subject="before"))
        process.kill()
    with (tmp_path / "smtp" / "mails.jsonl").open("ab") as mails:
        mails.write(b'{"half a li')
    with running(part, tmp_path):
        await send(shared, mail(subject="after"))
        assert [message["subject"] for message in shared.messages()] == ["before", "after"]
