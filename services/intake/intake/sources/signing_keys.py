"""ConnectWise's signing keys, fetched from where a delivery says: few, small, quick, and only from ConnectWise.

Whoever sends a delivery writes the address in it, before anything is proven. `connectwise.key_url` lets only its own
hosts through; here fetching is bounded in time, size, number and memory, and failures are remembered for a while.
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

log = structlog.get_logger(__name__)

_SECONDS: Final = 10.0
_LARGEST: Final = 65_536
_MOST_KEYS: Final = 100
_KEPT_SECONDS: Final = 3600.0
_SURE_SECONDS: Final = 60.0
_FAILURE_KEPT_SECONDS: Final = 30.0
_AT_ONCE: Final = 4
_T = TypeVar("_T")


class KeyUnavailableError(Exception):
    """The signing key cannot be had now; the delivery may come again."""


class SigningKeys:
    """The signing keys by address: each kept for an hour, the 100 last used."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[bytes | None]] = {}

    async def of(self, body: bytes, *, anew: bool = False) -> Sequence[bytes]:
        """The key that proves this delivery or does not; empty where it names no place of ConnectWise.

        `anew` is for when a kept one does not, since ConnectWise may have a new one: it is kept for a minute only.
        Raises KeyUnavailableError where the key cannot be had now.
        """
        url = connectwise.key_url(body)
        if url is None:
            metrics.SIGNING_KEYS.labels("refused").inc()
            return ()
        now = time.monotonic()
        fetched_at, key = self._known.get(url, (float("-inf"), b""))
        if now - fetched_at < (_SURE_SECONDS if anew else _KEPT_SECONDS):
            self._known.move_to_end(url)
            return (key,)
        if now - self._failed.get(url, float("-inf")) < _FAILURE_KEPT_SECONDS:
            raise KeyUnavailableError
        return (await self._fetched(url),)

    async def _fetched(self, url: str) -> bytes:
        """The key, fetched once for all who wait for it."""
        task = self._fetching.get(url)
        if task is None:
            if len(self._fetching) >= _AT_ONCE:
                raise KeyUnavailableError
            task = self._fetching[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda _: self._fetching.pop(url, None))
        # Shielded: one caller that goes away does not take the key from the others.
        key = await asyncio.shield(task)
        if key is None:
            raise KeyUnavailableError
        return key

    async def _fetch(self, url: str) -> bytes | None:
        try:
            async with asyncio.timeout(_SECONDS):
                key = _key_in(await self._downloaded(url))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as error:
            metrics.SIGNING_KEYS.labels("failed").inc()
            log.warning("signing_key_not_fetched", host=httpx.URL(url).host, problem=type(error).__name__)
            _remember(self._failed, url, time.monotonic())
            return None
        metrics.SIGNING_KEYS.labels("fetched").inc()
        _remember(self._known, url, (time.monotonic(), key))
        return key

    async def _downloaded(self, url: str) -> bytes:
        client = httpx.AsyncClient(follow_redirects=False, timeout=_SECONDS, transport=self._transport)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with client, client.stream("GET", url, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"answers {answer.status_code}")
            content = bytearray()
            # Raw: what was compressed in spite of the header could be far larger than what came.
            async for piece in answer.aiter_raw():
                content += piece
                if len(content) > _LARGEST:
                    raise ValueError("is too large")
        return bytes(content)


def _key_in(content: bytes) -> bytes:
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    key = found.get("signing_key") if isinstance(found, dict) else None
    if not isinstance(key, str) or not key:
        raise ValueError("holds no signing_key")
    return key.encode(errors="strict")


def _remember(kept: OrderedDict[str, _T], url: str, what: _T) -> None:
    kept[url] = what
    kept.move_to_end(url)
    if len(kept) > _MOST_KEYS:
        kept.popitem(last=False)
