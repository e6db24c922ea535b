"""The API keys with which the board calls the other services: checked at start, and never in the log."""

import asyncio
import json
from pathlib import Path

import pytest
from board.api import reports
from board.errors import UpstreamError
from board.handlers.reports import ReportSlots
from board.settings import UpstreamSettings
from board.sources.upstream import Upstream
from pydantic import SecretStr
from support.board_pages import ZONE, board_pages
from support.board_tickets import NOW
from tocsin.runtime.process.clock import BusinessClock
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


async def test_a_tenant_without_a_key_is_named_and_no_retry_is_advised(tmp_path: Path) -> None:
    upstream = Upstream(sla_timer_url="http://localhost", escalator_url="http://localhost", keys={})
    async with board_pages(tmp_path) as pages:
        pages.app.include_router(reports.router(upstream.get, BusinessClock(NOW, NOW, 0), ZONE, ReportSlots()))
        responses = [await pages.client.get(f"/reports/2026-05{suffix}") for suffix in ("", ".json")]
    await upstream.close()
    for response in responses:
        assert response.status_code == 503
        assert "This board has no key for the tenant default: set TOCSIN_UPSTREAM_KEYS." in response.text
        assert "Retry-After" not in response.headers
