"""ConnectWise's signing keys, fetched from the URL in a delivery.

The URL comes from an unauthenticated delivery. `connectwise.key_url` accepts only ConnectWise's own hosts; here, time,
size, concurrency and cache are limited, and failures are cached too (docs/decisions/0022-webhook-authentication.md).
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TypeVar

import httpx
import structlog

from intake import metrics
from intake.domain.webhooks.adapters import connectwise
from intake.errors import SigningKeyError, SigningKeyUnavailableError

log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS: Final = 10.0
_MAX_BYTES: Final = 65_536
_MAX_KEYS: Final = 100
_MAX_FETCHES: Final = 4
_KEY_TTL_SECONDS: Final = 3600.0
_FRESH_SECONDS: Final = 60.0
_FAILURE_TTL_SECONDS: Final = 30.0
_T = TypeVar("_T")


class SigningKeys:
    """A cache of signing keys by URL: each for an hour, at most the 100 last used."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[bytes | None]] = {}

    async def key_for(self, body: bytes, *, fresh: bool = False) -> Sequence[bytes]:
        """The signing key for this delivery; empty if the delivery has no URL of ConnectWise.

        With `fresh`, a cached key is at most a minute old: ConnectWise may have rotated it. Raises
        SigningKeyUnavailableError.
        """
        url = connectwise.key_url(body)
        if url is None:
            metrics.SIGNING_KEYS.labels("refused").inc()
            return ()
        now = time.monotonic()
        fetched_at, key = self._known.get(url, (float("-inf"), b""))
        if now - fetched_at < (_FRESH_SECONDS if fresh else _KEY_TTL_SECONDS):
            self._known.move_to_end(url)
            return (key,)
        if now - self._failed.get(url, float("-inf")) < _FAILURE_TTL_SECONDS:
            raise SigningKeyUnavailableError
        return (await self._fetch_once(url),)

    async def _fetch_once(self, url: str) -> bytes:
        """The key, fetched once for all concurrent callers."""
        task = self._fetching.get(url)
        if task is None:
            if len(self._fetching) >= _MAX_FETCHES:
                raise SigningKeyUnavailableError
            task = self._fetching[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda _: self._fetching.pop(url, None))
        # Shielded, so that one cancelled caller does not cancel the fetch for the others.
        key = await asyncio.shield(task)
        if key is None:
            raise SigningKeyUnavailableError
        return key

    async def _fetch(self, url: str) -> bytes | None:
        try:
            key = await fetch_signing_key(url, self._transport)
        except SigningKeyError as error:
            metrics.SIGNING_KEYS.labels("failed").inc()
            log.warning("signing_key_fetch_failed", host=httpx.URL(url).host, error=str(error))
            _cache(self._failed, url, time.monotonic())
            return None
        metrics.SIGNING_KEYS.labels("fetched").inc()
        _cache(self._known, url, (time.monotonic(), key))
        return key


async def fetch_signing_key(url: str, transport: httpx.AsyncBaseTransport | None = None) -> bytes:
    """The signing key at a URL of ConnectWise. Raises SigningKeyError."""
    if not connectwise.is_key_url(url):
        raise SigningKeyError(
            "is not the address of a signing key: it must begin with https:// and one of ConnectWise's hosts, such as"
            " api-na.myconnectwise.net"
        )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return _parse_key(await _download(url, transport))
    except (TimeoutError, httpx.TimeoutException):
        raise SigningKeyError(f"did not respond within {_TIMEOUT_SECONDS:g} seconds; try again") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = " ".join(str(error).split())[:200] or "the connection failed"
        message = f"cannot be reached ({reason}); check the network, the proxy and the certificates here"
        raise SigningKeyError(message) from None


async def _download(url: str, transport: httpx.AsyncBaseTransport | None) -> bytes:
    client = httpx.AsyncClient(follow_redirects=False, timeout=_TIMEOUT_SECONDS, transport=transport)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client, client.stream("GET", url, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise SigningKeyError(
                f"responded with status {response.status_code} instead of 200; take the address from a new callback"
            )
        content = bytearray()
        # Raw bytes: a response that is compressed despite the header may be far larger once decompressed.
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > _MAX_BYTES:
                raise SigningKeyError(f"responded with more than {_MAX_BYTES} bytes, which is not a signing key")
    return bytes(content)


def _parse_key(content: bytes) -> bytes:
    try:
        found = json.loads(content)
        key = found.get("signing_key") if isinstance(found, dict) else None
        if isinstance(key, str) and key:
            return key.encode(errors="strict")
    except (ValueError, RecursionError):
        pass
    raise SigningKeyError("responded without a `signing_key` in JSON; is the address that of a signing key?")


def _cache(entries: OrderedDict[str, _T], url: str, value: _T) -> None:
    entries[url] = value
    entries.move_to_end(url)
    if len(entries) > _MAX_KEYS:
        entries.popitem(last=False)
