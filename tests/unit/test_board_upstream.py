"""The API keys with which the board calls the other services: checked at start, and never in the log."""

import asyncio
import json

import pytest
from board.errors import UpstreamError
from board.settings import UpstreamSettings
from board.sources.upstream import Upstream
from pydantic import SecretStr
from tocsin.runtime.process.settings import load

KEY = "tcs_00000000_" + "k" * 40


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\N{LATIN SMALL LETTER E WITH ACUTE}", f" {KEY}", "tcs_x", ""])
def test_a_key_that_no_header_can_carry_is_refused_at_start_and_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOCSIN_UPSTREAM_KEYS", json.dumps({"good": KEY, "default": key}))
    with pytest.raises(SystemExit):
        load(UpstreamSettings)
    printed = capsys.readouterr().err
    assert printed == (
        "TOCSIN_UPSTREAM_KEYS.default: must be an API key, tcs_ID_SECRET, without spaces or line breaks.\n"
    )


async def test_a_failed_request_is_described_without_the_key() -> None:
    # httpx refuses a header with a line break once it is connected, and its error repeats the header.
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        upstream = Upstream(sla_timer_url=url, escalator_url=url, keys={"default": SecretStr(f"{KEY}\n")})
        with pytest.raises(UpstreamError) as caught:
            await upstream.clocks("default", [])
        await upstream.close()
    assert str(caught.value) == "sla-timer does not respond (LocalProtocolError)"
