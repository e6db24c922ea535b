"""Sends one webhook by HTTP: signed, without redirects, to allowed addresses only."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Final
from uuid import UUID

import httpx
from tocsin.runtime.errors import RequestFailedError
from tocsin.runtime.http.checked_request import (
    AllowedAddresses,
    CheckedRequest,
    check_host,
    describe_request_error,
    send_checked,
    trusted_authorities,
)
from tocsin.runtime.http.public_address import Network

from board.domain.webhooks.config import WebhookEndpoint
from board.domain.webhooks.delivery import AttemptOutcome
from board.domain.webhooks.signature import webhook_headers
from board.sources.webhooks_file import read_secrets, read_url

SECONDS: Final = 15.0
"""The longest time of an attempt, from the look-up of the name to the end of the response."""
MAX_RESPONSE_BYTES: Final = 1000
_BODY_SECONDS: Final = 3.0
_NOT_A_URL: Final = "has an address that is not a URL; correct it"
_HEADERS: Final = {
    "Content-Type": "application/json; charset=utf-8",
    "Accept-Encoding": "identity",
    "User-Agent": "tocsin",
    "Connection": "close",
}


@dataclass(frozen=True)
class WebhookClient:
    """Sends webhooks to public addresses, and to those in `networks`. An attempt takes at most `seconds`."""

    networks: Sequence[Network]
    seconds: float = SECONDS

    async def send(self, endpoint: WebhookEndpoint, delivery_id: UUID, body: str) -> AttemptOutcome:
        """The outcome of one attempt. Every failure is an outcome; nothing is raised."""
        try:
            url, secrets = read_url(endpoint), read_secrets(endpoint)
        except ValueError as error:
            return AttemptOutcome(problem=str(error))
        headers = _HEADERS | webhook_headers(delivery_id, datetime.now(UTC), body, secrets)
        try:
            async with asyncio.timeout(self.seconds):
                return await self._post(CheckedRequest("POST", httpx.URL(url), headers, body.encode()))
        except RequestFailedError as error:
            return AttemptOutcome(problem=str(error))
        except httpx.InvalidURL:
            return AttemptOutcome(problem=_NOT_A_URL)
        except (TimeoutError, httpx.TimeoutException):
            return AttemptOutcome(problem=f"does not respond within {self.seconds:g} seconds")
        except (httpx.HTTPError, OSError) as error:
            return AttemptOutcome(problem=describe_request_error(error))

    async def check_address(self, url: str) -> str | None:
        """Why nothing is sent to the address of this URL, in the words of `send`; None if it is allowed."""
        try:
            async with asyncio.timeout(self.seconds):
                await check_host(httpx.URL(url), self._allowed)
        except RequestFailedError as error:
            return str(error)
        except httpx.InvalidURL:
            return _NOT_A_URL
        except TimeoutError:
            return f"has a name that is not resolved within {self.seconds:g} seconds"
        return None

    async def _post(self, request: CheckedRequest) -> AttemptOutcome:
        async with send_checked(request, self._allowed, self._tls, seconds=self.seconds) as response:
            return AttemptOutcome(
                status=response.status_code,
                response=await _read_beginning(response),
                retry_after=_retry_after(response.headers.get("Retry-After")),
            )

    @property
    def _allowed(self) -> AllowedAddresses:
        return AllowedAddresses(self.networks, "TOCSIN_WEBHOOK_NETWORKS")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Kept, because loading all authorities takes 20 ms. Certificates in SSL_CERT_FILE are read once.
        return trusted_authorities()


async def _read_beginning(response: httpx.Response) -> str:
    """The beginning of the body as text. An incomplete body is accepted, because the status decides."""
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in response.aiter_raw():
                content += piece
                if len(content) >= MAX_RESPONSE_BYTES:
                    break
    except (httpx.HTTPError, TimeoutError):
        pass
    text = content[:MAX_RESPONSE_BYTES].decode(errors="replace")
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _retry_after(value: str | None) -> timedelta | None:
    """The time that a Retry-After header states, in seconds or as a date. None: missing, invalid or in the past."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            return timedelta(seconds=min(int(value[:12]), 10**8))
        at = parsedate_to_datetime(value)
        pause = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return pause if pause > timedelta(0) else None
