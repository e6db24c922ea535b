"""A mail server that violates the protocol: a mail counts as sent only if it was plainly accepted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import pytest
from notifier.domain.smtp_reply import SmtpOutcome, SmtpReply
from notifier.settings import Settings
from notifier.workers.smtp_server import SmtpServer
from support.notifier_world import REQUIRED

PLAIN: Mapping[str, str] = {"greeting": "220 x", "EHLO": "250 x", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go"}


@asynccontextmanager
async def server(replies: Mapping[str, str]) -> AsyncIterator[str]:
    """HOST:PORT of a server that replies to each command, and to the final dot (`.`), as `replies` says."""
    gone = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = {**PLAIN, ".": "250 OK", **replies}
        writer.write(f"{text['greeting']}\r\n".encode())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := (await reader.readline()).decode().strip():
                writer.write(f"{text.get(line[:4].upper(), '250 ok')}\r\n".encode())
                if line == "DATA" and text["DATA"].startswith("354"):
                    await reader.readuntil(b"\r\n.\r\n")
                    writer.write(f"{text['.']}\r\n".encode())
            writer.close()
            await writer.wait_closed()
        gone.set()

    serving = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with serving:
        host, port = serving.sockets[0].getsockname()
        yield f"{host}:{port}"
        await gone.wait()


async def attempt(replies: Mapping[str, str]) -> SmtpOutcome:
    """The outcome of an attempt to send a mail."""
    async with server(replies) as address:
        settings = Settings.model_validate({**REQUIRED, "smtp": address, "smtp_timeout": 5})
        smtp = SmtpServer(settings.mail_servers[0], settings)
        opened = await smtp.open_envelope(sender="tocsin@example.org", recipient="dana@example.com")
        if isinstance(opened, SmtpReply):
            reply = opened
        else:
            reply = await smtp.send(opened, b"Subject: x\r\n\r\nhello\r\n")
            await smtp.release(opened, reply)
        await smtp.close_idle()
    return reply.outcome


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({}, SmtpOutcome.ACCEPTED),
        ({".": "accepted, thank you"}, SmtpOutcome.AMBIGUOUS),
        ({".": "250-" + "x" * 9000}, SmtpOutcome.AMBIGUOUS),
        ({"DATA": "250 what for?"}, SmtpOutcome.AMBIGUOUS),
        ({"DATA": "go on"}, SmtpOutcome.AMBIGUOUS),
        ({"RCPT": "well"}, SmtpOutcome.DEFERRED),
        ({"MAIL": "who?"}, SmtpOutcome.SERVER_FAILED),
        ({"greeting": "hello"}, SmtpOutcome.SERVER_FAILED),
    ],
)
async def test_only_a_plain_acceptance_counts_as_sent(replies: Mapping[str, str], outcome: SmtpOutcome) -> None:
    assert await attempt(replies) is outcome
