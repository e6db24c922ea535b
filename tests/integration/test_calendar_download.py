"""Fetching a feed: only from addresses that are allowed, and with the certificate of its name."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.calendar_feed import LOOPBACK, FeedServer, one_event, serve_feed
from tocsin.sources.calendar_download import CalendarDownloadError, download_calendar
from tocsin_local.loopback import free_port

EXCHANGE = "https://mail.example.com:{port}/owa/calendar/desk.ics"


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedServer]:
    with serve_feed(tmp_path) as feed:
        monkeypatch.setenv("SSL_CERT_FILE", str(feed.ca))
        yield feed


class FakeResolver:
    """Resolves every name to one list of addresses after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *results: list[str]) -> None:
        self.results = list(results)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.resolve)

    async def resolve(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in self.results.pop(0)]


async def refusal(url: str, *networks: Any) -> str:
    with pytest.raises(CalendarDownloadError) as caught:
        await download_calendar(url, networks)
    return str(caught.value)


async def test_a_feed_on_this_machine_is_fetched_only_if_its_network_is_allowed(feed: FeedServer) -> None:
    message = await refusal(feed.url)
    assert message.startswith("is at ")
    assert "which is not a public address; if it is meant, allow its network: TOCSIN_CALENDAR_NETWORKS=" in message
    assert feed.paths == []
    assert await download_calendar(feed.url, LOOPBACK) == one_event("ana").encode()


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["10.0.0.5"], ["8.8.8.8", "127.0.0.1"], ["fe80::1%2"]],
    ids=str,
)
async def test_a_name_with_one_address_that_is_not_public_is_refused(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeResolver(monkeypatch, addresses)
    assert "which is not a public address" in await refusal("https://calendar.example.com/desk.ics")


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]", "0"])
async def test_no_spelling_of_an_address_gets_around_the_check(host: str, feed: FeedServer) -> None:
    assert "which is not a public address" in await refusal(f"https://{host}:{feed.server.server_port}/desk.ics")
    assert feed.paths == []


async def test_the_connection_goes_to_the_address_that_was_checked(
    feed: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = FakeResolver(monkeypatch, ["127.0.0.1"], ["10.9.9.9"])
    assert await download_calendar(feed.url, LOOPBACK) == one_event("ana").encode()
    assert resolver.results == [["10.9.9.9"]], "the name was not resolved a second time"


async def test_the_next_address_of_a_name_is_tried(feed: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeResolver(monkeypatch, ["::1", "127.0.0.1"])
    assert await download_calendar(feed.url, LOOPBACK) == one_event("ana").encode()


async def test_the_certificate_must_be_that_of_the_name(feed: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeResolver(monkeypatch, ["127.0.0.1"])
    message = await refusal(EXCHANGE.format(port=feed.server.server_port), *LOOPBACK)
    assert message == "has a certificate for another name; use the host name of its certificate in the address"
    assert feed.paths == []


async def test_a_redirect_is_checked_like_the_first_address(feed: FeedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeResolver(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    message = await refusal(feed.url.replace("token-1f2e3d", "moved"), *LOOPBACK)
    assert message.startswith("is at 169.254.169.254, which is not a public address")
    assert feed.paths == ["/moved.ics"]


async def test_a_failure_says_what_to_do(feed: FeedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        await refusal(f"https://localhost:{free_port()}/desk.ics", *LOOPBACK) == "cannot be reached: connection refused"
    )
    assert await refusal("https://no-such-name.invalid/desk.ics") == (
        "has a name that cannot be resolved; correct the address, or DNS"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert "SSL_CERT_FILE or SSL_CERT_DIR contains no PEM certificates" in await refusal(feed.url, *LOOPBACK)


async def test_a_proxy_of_the_environment_makes_the_connection(
    feed: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    message = await refusal("https://no-such-name.invalid/desk.ics")
    assert message == "cannot be reached: connection refused"
    assert "which is not a public address" in await refusal("https://10.0.0.5/desk.ics")
    monkeypatch.setenv("no_proxy", "localhost")
    assert await download_calendar(feed.url, LOOPBACK) == one_event("ana").encode()
