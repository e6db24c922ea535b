"""A key is fetched from ConnectWise and from nobody else, whatever an unproven delivery says, and within bounds."""

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
from intake.sources import signing_keys
from intake.sources.signing_keys import KeyUnavailableError, SigningKeys
from support.search_budget import tries
from support.webhook_recordings import SECRET, proven, recorded, shipped

HOSTS = {f"{kind}-{place}.myconnectwise.net" for kind in ("api", "sandbox") for place in ("na", "eu", "au")}
URL = "https://api-eu.myconnectwise.net/v4_6_release/apis/3.0/system/callbacks/signingkeys/nordmsp"


def says(status: int, content: bytes = b"") -> httpx.Response:
    """An answer whose content comes from a stream, as over a network."""

    async def stream() -> AsyncIterator[bytes]:
        yield content

    return httpx.Response(status, content=stream())


def the_key() -> httpx.Response:
    return says(200, json.dumps({"signing_key": SECRET.decode()}).encode())


def naming(url: object) -> bytes:
    """A delivery that names this address."""
    return json.dumps(json.loads(recorded("connectwise", "1-added")) | {"Metadata": {"key_url": url}}).encode()


class ConnectWise:
    """What is at ConnectWise's hosts, and what it was asked."""

    def __init__(self, answer: Callable[[], httpx.Response] = the_key) -> None:
        self.asked: list[httpx.URL] = []
        self._answer = answer

    def keys(self) -> SigningKeys:
        return SigningKeys(httpx.MockTransport(self._asked))

    async def _asked(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        await asyncio.sleep(0)
        return self._answer()


@pytest.mark.parametrize("host", sorted(HOSTS))
@pytest.mark.parametrize(
    "rest", ["/", "/v4_6_release/apis/3.0/keys?id=1&a=%20b", ":443/key", "/a@b/c", "/?u=https://x.example/"]
)
def test_the_six_hosts_of_connectwise_are_asked(host: str, rest: str) -> None:
    assert connectwise.key_url(naming(f"https://{host}{rest}")) == f"https://{host}{rest}"


@pytest.mark.parametrize(
    "url",
    [
        "http://api-eu.myconnectwise.net/",
        "HTTPS://api-eu.myconnectwise.net/",
        "ftp://api-eu.myconnectwise.net/",
        "//api-eu.myconnectwise.net/",
        "https:/api-eu.myconnectwise.net/",
        "https:api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net",
        "https://eu.myconnectwise.net/",
        "https://staging.myconnectwise.net/",
        "https://api-us.myconnectwise.net/",
        "https://apiXeu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net./",
        "https://api-eu.myconnectwise.network/",
        "https://api-eu.myconnectwiseXnet/",
        "https://api-eu.myconnectwise.net.evil.example/",
        "https://evil.example/api-eu.myconnectwise.net/",
        "https://evil.example/?https://api-eu.myconnectwise.net/",
        "https://evil.example#https://api-eu.myconnectwise.net/",
        "https://x.api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net@evil.example/",
        "https://api-eu.myconnectwise.net:pw@evil.example/",
        "https://user@api-eu.myconnectwise.net/",
        "https://user:pw@api-eu.myconnectwise.net/",
        "https://@api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net:80/",
        "https://api-eu.myconnectwise.net:4430/",
        "https://api-eu.myconnectwise.net:/",
        "https://api-eu.myconnectwise.net:443@evil.example/",
        "https://api-eu.myconnectwise.net\\@evil.example/",
        "https://evil.example\\.api-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net/\r\nHost: evil.example",
        "https://api-eu.myconnectwise.net/\n",
        "https://api-eu.myconnectwise.net/a b",
        "https://api-eu.myconnectwise.net/\x00",
        "https://api-eu.myconnectwise.net/#fragment",
        "https://api-eu.myconnectwise。net/",
        "https://api-eu．myconnectwise.net/",
        "https://аpi-eu.myconnectwise.net/",
        "https://api-eu.myconnectwise.net/é",
        " https://api-eu.myconnectwise.net/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "file:///etc/passwd",
        "https://api-eu.myconnectwise.net/" + "a" * 2000,
        "",
        None,
        7,
        ["https://api-eu.myconnectwise.net/"],
        {"url": "https://api-eu.myconnectwise.net/"},
    ],
)
def test_no_other_place_is_asked(url: object) -> None:
    assert connectwise.key_url(naming(url)) is None


_PIECES = st.sampled_from(
    [
        *HOSTS,
        "https://",
        "http://",
        "evil.example",
        "@",
        ":",
        "443",
        "80",
        "/",
        "\\",
        "?",
        "#",
        ".",
        "%2e",
        "%00",
        "\t",
        "\n",
        "。",
        "127.0.0.1",
        "a",
    ]
)


@settings(max_examples=tries(300))
@given(st.one_of(st.lists(_PIECES, max_size=8).map("".join), st.tuples(_PIECES, st.text(max_size=12)).map("".join)))
def test_however_it_is_written_only_connectwise_is_asked(written: str) -> None:
    for url in (written, f"https://{written}", f"https://api-na.myconnectwise.net{written}"):
        found = connectwise.key_url(naming(url))
        if found is not None:
            parts, asked = urlsplit(found), httpx.URL(found)
            assert (parts.scheme, asked.scheme) == ("https", "https")
            assert parts.hostname == asked.host
            assert asked.host in HOSTS
            assert parts.port in (None, 443)
            assert asked.port in (None, 443)
            assert (parts.username, parts.password, asked.userinfo, asked.fragment) == (None, None, b"", "")


async def test_a_fetched_key_proves_and_is_kept() -> None:
    there = ConnectWise()
    keys = there.keys()
    body = naming(URL)
    for _ in range(3):
        found = await keys.of(body)
        auth = shipped("connectwise").auth
        assert connectwise.genuine(auth, found, proven("connectwise", body), body, datetime.now(UTC))
    assert await asyncio.gather(*(keys.of(body) for _ in range(20))) == [(SECRET,)] * 20
    assert there.asked == [httpx.URL(URL)]


async def test_a_key_that_was_changed_at_connectwise_is_fetched_anew_once_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = ConnectWise()
    keys = there.keys()
    await keys.of(naming(URL))
    await keys.of(naming(URL), anew=True)
    assert len(there.asked) == 1
    monkeypatch.setattr(signing_keys, "_SURE_SECONDS", 0.0)
    await keys.of(naming(URL), anew=True)
    assert len(there.asked) == 2


async def test_many_who_wait_for_a_key_ask_once_though_one_of_them_goes_away() -> None:
    there = ConnectWise()
    keys = there.keys()
    waiting = [asyncio.create_task(keys.of(naming(URL))) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == [(SECRET,)] * 4
    assert len(there.asked) == 1


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 4096


async def _slow() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()  # the rest never comes


BROKEN: dict[str, Callable[[], httpx.Response]] = {
    "a redirect": lambda: httpx.Response(302, headers={"Location": "https://evil.example/"}),
    "a redirect home": lambda: httpx.Response(301, headers={"Location": URL}),
    "an error": lambda: says(500, json.dumps({"signing_key": "x"}).encode()),
    "nothing there": lambda: httpx.Response(404),
    "no JSON": lambda: says(200, b"<html>"),
    "a list": lambda: says(200, json.dumps(["x"]).encode()),
    "no key": lambda: says(200, json.dumps({"key": "x"}).encode()),
    "an empty key": lambda: says(200, json.dumps({"signing_key": ""}).encode()),
    "a number": lambda: says(200, json.dumps({"signing_key": 7}).encode()),
    "half a surrogate": lambda: says(200, b'{"signing_key": "\\ud800"}'),
    "too deep": lambda: says(200, b"[" * 60_000),
    "too large": lambda: says(200, b" " * 65_536 + b'{"signing_key": "x"}'),
    "endless": lambda: httpx.Response(200, content=_endless()),
    "slow": lambda: httpx.Response(200, content=_slow()),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_key_is_refused_in_time_and_not_asked_for_again_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "_SECONDS", 0.2)
    there = ConnectWise(BROKEN[name])
    keys = there.keys()
    for _ in range(3):
        with pytest.raises(KeyUnavailableError):
            await keys.of(naming(URL))
    assert len(there.asked) == 1


async def test_who_cannot_be_reached_is_no_error_of_ours() -> None:
    def refuse() -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(KeyUnavailableError):
        await ConnectWise(refuse).keys().of(naming(URL))


async def test_forged_addresses_cost_few_fetches_at_once_and_little_memory() -> None:
    there = ConnectWise()
    keys = there.keys()
    found = await asyncio.gather(*(keys.of(naming(f"{URL}/{n}")) for n in range(50)), return_exceptions=True)
    assert sum(isinstance(one, KeyUnavailableError) for one in found) == 46
    for n in range(150):
        await keys.of(naming(f"{URL}/{n}"))
    asked = len(there.asked)
    await keys.of(naming(f"{URL}/149"))
    assert len(there.asked) == asked
    await keys.of(naming(f"{URL}/0"))
    assert len(there.asked) == asked + 1


async def test_another_place_is_never_asked() -> None:
    there = ConnectWise()
    assert await there.keys().of(naming("https://evil.example/")) == ()
    assert await there.keys().of(b"{") == ()
    assert there.asked == []
