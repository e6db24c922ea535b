"""A mail server that says what no mail server says: nothing that it did not plainly take counts as sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from notifier.domain.smtp_result import Answer, Verdict, judge
from notifier.settings import Settings
from notifier.workers.smtp_connection import Connection, Smtp

PLAIN: Mapping[str, str] = {"greeting": "220 x", "EHLO": "250 x", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go"}


@asynccontextmanager
async def server(says: Mapping[str, str]) -> AsyncIterator[str]:
    """HOST:PORT of one that answers each command, and the final dot (`.`), as `says` has it."""

    gone = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = {**PLAIN, ".": "250 taken", **says}
        writer.write(f"{said['greeting']}\r\n".encode())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := (await reader.readline()).decode().strip():
                writer.write(f"{said.get(line[:4].upper(), '250 ok')}\r\n".encode())
                if line == "DATA" and said["DATA"].startswith("354"):
                    await reader.readuntil(b"\r\n.\r\n")
                    writer.write(f"{said['.']}\r\n".encode())
            writer.close()
            await writer.wait_closed()
        gone.set()

    serving = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with serving:
        host, port = serving.sockets[0].getsockname()
        yield f"{host}:{port}"
        await gone.wait()


async def attempted(says: Mapping[str, str]) -> Verdict:
    """What an attempt to hand a mail over comes to."""
    async with server(says) as address:
        settings = Settings(
            database_url="postgresql+asyncpg://u@h/d",
            kafka="h:9",
            keys=Path("k"),
            directory=Path("d"),
            smtp=address,
            mail_from="a@example.com",
            public_url="https://sla.example.com",
            ack_keys="k" * 32,
            smtp_timeout=5,
        )
        smtp = Smtp(settings.mail_servers[0], settings)
        answer = connection = await smtp.connect()
        if isinstance(connection, Connection):
            answer = await smtp.envelope(connection, "dana@example.com")
            if judge(answer) is Verdict.SENT:
                answer = await smtp.data(connection, b"Subject: x\r\n\r\nhello\r\n")
            await smtp.release(connection, answer)
        await smtp.close_idle()
    assert isinstance(answer, Answer)
    return judge(answer)


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ({}, Verdict.SENT),
        ({".": "taken, thank you"}, Verdict.AMBIGUOUS),
        ({".": "250-" + "x" * 9000}, Verdict.AMBIGUOUS),
        ({"DATA": "250 what for?"}, Verdict.AMBIGUOUS),
        ({"DATA": "go on"}, Verdict.AMBIGUOUS),
        ({"RCPT": "well"}, Verdict.DEFERRED),
        ({"MAIL": "who?"}, Verdict.SERVER),
        ({"greeting": "hello"}, Verdict.SERVER),
    ],
)
async def test_only_what_was_plainly_taken_is_sent(says: Mapping[str, str], verdict: Verdict) -> None:
    assert await attempted(says) is verdict
