"""Downloads an iCalendar feed, with limits on time, size, redirects and addresses."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

from tocsin.directory import MAX_CALENDAR_LENGTH
from tocsin.runtime.errors import RequestFailedError
from tocsin.runtime.http.checked_request import (
    AllowedAddresses,
    CheckedRequest,
    describe_request_error,
    send_checked,
    trusted_authorities,
)
from tocsin.runtime.http.public_address import Network
from tocsin.runtime.metrics import set_certificate

_SECONDS: Final = 15.0
_MOST_REDIRECTS: Final = 3


class CalendarDownloadError(Exception):
    """A feed could not be downloaded. `str()` says why, without its URL, which may contain a token."""


async def download_calendar(url: str, networks: Sequence[Network] = ()) -> bytes:
    """The content at an https URL. Raises CalendarDownloadError.

    The host must be at public addresses, or in `networks`; each connection goes to an address that was checked.
    Redirects are followed on the same host only.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await _download(httpx.URL(url), AllowedAddresses(networks, "TOCSIN_CALENDAR_NETWORKS"))
    except RequestFailedError as error:
        raise CalendarDownloadError(str(error)) from None
    except httpx.InvalidURL:
        raise CalendarDownloadError("has an address that is not a URL; correct it") from None
    except (TimeoutError, httpx.TimeoutException):
        raise CalendarDownloadError(f"does not respond within {_SECONDS:.0f} seconds") from None
    except (httpx.HTTPError, OSError) as error:
        raise CalendarDownloadError(describe_request_error(error)) from None


async def _download(url: httpx.URL, allowed: AllowedAddresses) -> bytes:
    host = (url.host, url.port)
    tls = trusted_authorities()
    for _ in range(_MOST_REDIRECTS + 1):
        request = CheckedRequest("GET", url, {"Accept": "text/calendar"})
        async with send_checked(request, allowed, tls, seconds=_SECONDS) as response:
            _record_certificate(url.host, response)
            if response.is_redirect:
                url = url.join(response.headers.get("Location", ""))
                if (url.scheme, url.host, url.port) != ("https", *host):
                    raise CalendarDownloadError("redirects to another host; configure that host's URL")
                continue
            if response.status_code != httpx.codes.OK:
                raise CalendarDownloadError(f"responds with {response.status_code}")
            return await _read_content(response)
    raise CalendarDownloadError("redirects too often")


def _record_certificate(host: str, response: httpx.Response) -> None:
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    set_certificate(host, tls.getpeercert())


async def _read_content(response: httpx.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MAX_CALENDAR_LENGTH:
            raise CalendarDownloadError(f"is larger than {MAX_CALENDAR_LENGTH:,} bytes; remove old events")
    return bytes(content)
