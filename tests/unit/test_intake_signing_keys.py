"""Signing keys are fetched only from ConnectWise, whatever an unauthenticated delivery says, and within limits."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.webhooks.adapters import connectwise
from intake.errors import SigningKeyError, SigningKeyUnavailableError
from intake.sources import signing_keys
from intake.sources.signing_keys import SigningKeys, fetch_signing_key
from support.metrics import counter_value
from support.search_budget import tries
from support.webhook_recordings import SECRET, auth_headers, recorded, shipped

HOSTS = {f"{kind}-{place}.myconnectwise.net" for kind in ("api", "sandbox") for place in ("na", "eu", "au")}
URL = "https://api-eu.myconnectwise.net/v4_6_release/apis/3.0/system/callbacks/signingkeys/nordmsp"


def response(status: int, content: bytes = b"") -> httpx.Response:
    """A response with streamed content, as over a network."""

    async def stream() -> AsyncIterator[bytes]:
        yield content

    return httpx.Response(status, content=stream())


def key_response() -> httpx.Response:
    return response(200, json.dumps({"signing_key": SECRET.decode()}).encode())


def naming(url: object) -> bytes:
    """A delivery with this URL."""
    return json.dumps(json.loads(recorded("connectwise", "1-added")) | {"Metadata": {"key_url": url}}).encode()


class ConnectWise:
    """A server at ConnectWise's hosts; `requested` are the URLs requested from it."""

    def __init__(self, answer: Callable[[], httpx.Response] = key_response) -> None:
        self.requested: list[httpx.URL] = []
        self._answer = answer

    def keys(self) -> SigningKeys:
        return SigningKeys(httpx.MockTransport(self._respond))

    async def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requested.append(request.url)
        await asyncio.sleep(0)
        return self._answer()


@pytest.mark.parametrize(
    "rest", ["/", "/v4_6_release/apis/3.0/keys?id=1&a=%20b", ":443/key", "/a@b/c", "/?u=https://x.example/"]
)
def test_urls_of_the_six_hosts_are_accepted(rest: str) -> None:
    for host in HOSTS:
        assert connectwise.key_url(naming(f"https://{host}{rest}")) == f"https://{host}{rest}"


@pytest.mark.parametrize(
    "url",
    [
        "http://api-eu.myconnectwise.net/",
        "//api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net",
        "https://api-us.myconnectwise.net/",
        "https://apiXeu.myconnectwise.net/",
        "https://x.api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net./",
        "https://api-eu.myconnectwise.net.evil.example/",
        "https://evil.example/?https://api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net:pw@evil.example/",
        "https://user@api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net:4430/",
        "https://api-eu.myconnectwise.net\\@evil.example/",
        "https://api-eu.myconnectwise.net/\r\nHost: evil.example",
        "https://api-eu.myconnectwise.net/#fragment",
        "https://api-eu.myconnectwise。net/",
        "https://аpi-eu.myconnectwise.net/",
        " https://api-eu.myconnectwise.net/",
        "https://[::1]/",
        "https://api-eu.myconnectwise.net/" + "a" * 2000,
        "",
        7,
        {"url": "https://api-eu.myconnectwise.net/"},
    ],
)
def test_other_urls_are_rejected(url: object) -> None:
    assert connectwise.key_url(naming(url)) is None


_PARTS = ("https://", "http://", "evil.example", "443", "80", "%2e", "%00", "127.0.0.1")
_PIECES = st.sampled_from([*HOSTS, *_PARTS, *"@:/\\?#.a。\t\n"])


@settings(max_examples=tries(300))
@given(st.one_of(st.lists(_PIECES, max_size=8).map("".join), st.tuples(_PIECES, st.text(max_size=12)).map("".join)))
def test_every_accepted_url_is_at_a_host_of_connectwise_for_any_parser(written: str) -> None:
    for url in (written, f"https://{written}", f"https://api-na.myconnectwise.net{written}"):
        found = connectwise.key_url(naming(url))
        if found is not None:
            parts, parsed = urlsplit(found), httpx.URL(found)
            assert (parts.scheme, parsed.scheme) == ("https", "https")
            assert parts.hostname == parsed.host
            assert parsed.host in HOSTS
            assert parts.port in (None, 443)
            assert parsed.port in (None, 443)
            assert (parts.username, parts.password, parsed.userinfo, parsed.fragment) == (None, None, b"", "")


async def test_a_fetched_key_authenticates_and_is_cached() -> None:
    server = ConnectWise()
    keys = server.keys()
    body = naming(URL)
    fetched = counter_value("sla_signing_keys_total", result="fetched")
    for _ in range(3):
        found = await keys.key_for(body)
        auth = shipped("connectwise").auth
        assert connectwise.is_genuine(auth, found, auth_headers("connectwise", body), body, datetime.now(UTC))
    assert await asyncio.gather(*(keys.key_for(body) for _ in range(20))) == [(SECRET,)] * 20
    assert server.requested == [httpx.URL(URL)]
    assert counter_value("sla_signing_keys_total", result="fetched") == fetched + 1


async def test_a_rotated_key_is_fetched_again_at_most_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ConnectWise()
    keys = server.keys()
    await keys.key_for(naming(URL))
    await keys.key_for(naming(URL), fresh=True)
    assert len(server.requested) == 1
    monkeypatch.setattr(signing_keys, "_FRESH_SECONDS", 0.0)
    await keys.key_for(naming(URL), fresh=True)
    assert len(server.requested) == 2


async def test_concurrent_callers_share_a_fetch_although_one_is_cancelled() -> None:
    server = ConnectWise()
    keys = server.keys()
    waiting = [asyncio.create_task(keys.key_for(naming(URL))) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == [(SECRET,)] * 4
    assert len(server.requested) == 1


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 4096


async def _slow() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()  # never ends


BROKEN: dict[str, Callable[[], httpx.Response]] = {
    "a redirect": lambda: httpx.Response(302, headers={"Location": "https://evil.example/"}),
    "an error": lambda: response(500, b'{"signing_key": "x"}'),
    "not JSON": lambda: response(200, b"<html>"),
    "a list": lambda: response(200, b'["x"]'),
    "no key": lambda: response(200, b'{"key": "x"}'),
    "an empty key": lambda: response(200, b'{"signing_key": ""}'),
    "half a surrogate": lambda: response(200, b'{"signing_key": "\\ud800"}'),
    "too deep": lambda: response(200, b"[" * 60_000),
    "endless": lambda: httpx.Response(200, content=_endless()),
    "slow": lambda: httpx.Response(200, content=_slow()),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_failed_fetch_ends_in_time_and_is_not_repeated_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "_TIMEOUT_SECONDS", 0.2)
    server = ConnectWise(BROKEN[name])
    keys = server.keys()
    for _ in range(3):
        with pytest.raises(SigningKeyUnavailableError):
            await keys.key_for(naming(URL))
    assert len(server.requested) == 1


async def test_an_unreachable_server_is_a_failed_fetch() -> None:
    def refuse() -> httpx.Response:
        raise httpx.ConnectError("refused")

    failed = counter_value("sla_signing_keys_total", result="failed")
    with pytest.raises(SigningKeyUnavailableError):
        await ConnectWise(refuse).keys().key_for(naming(URL))
    assert counter_value("sla_signing_keys_total", result="failed") == failed + 1


async def test_forged_urls_cost_few_concurrent_fetches_and_little_memory() -> None:
    server = ConnectWise()
    keys = server.keys()
    found = await asyncio.gather(*(keys.key_for(naming(f"{URL}/{n}")) for n in range(50)), return_exceptions=True)
    assert sum(isinstance(one, SigningKeyUnavailableError) for one in found) == 46
    for n in range(150):
        await keys.key_for(naming(f"{URL}/{n}"))
    requested = len(server.requested)
    await keys.key_for(naming(f"{URL}/149"))
    assert len(server.requested) == requested
    await keys.key_for(naming(f"{URL}/0"))
    assert len(server.requested) == requested + 1


async def test_a_delivery_without_a_url_of_connectwise_causes_no_request() -> None:
    server = ConnectWise()
    refused = counter_value("sla_signing_keys_total", result="refused")
    assert await server.keys().key_for(naming("https://evil.example/")) == ()
    assert counter_value("sla_signing_keys_total", result="refused") == refused + 1
    assert await server.keys().key_for(b"{") == ()
    assert server.requested == []


async def test_an_unreachable_server_is_described_without_the_class_of_the_error() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(SigningKeyError, match=r"^cannot be reached \(connection refused\); check the network"):
        await fetch_signing_key(URL, httpx.MockTransport(refuse))
