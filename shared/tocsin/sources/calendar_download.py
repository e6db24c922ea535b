"""Downloads the text of an iCalendar feed, with limits on time, size and redirects."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from tocsin.directory import MAX_CALENDAR_LENGTH
from tocsin.runtime.metrics import set_certificate

_SECONDS: Final = 15.0
_MOST_REDIRECTS: Final = 3


class CalendarDownloadError(Exception):
    """A feed could not be downloaded. `str()` says why, without its URL, which may contain a token."""


async def download_calendar(url: str) -> str:
    """The text at an https URL. Redirects are followed on the same host only. Raises CalendarDownloadError."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await _download(url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        raise CalendarDownloadError(f"cannot be fetched: {_describe(error)}") from None
    except UnicodeDecodeError:
        raise CalendarDownloadError("is not UTF-8") from None


async def _download(url: str) -> str:
    host = urlsplit(url).netloc
    async with httpx.AsyncClient(follow_redirects=False, timeout=_SECONDS) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            async with client.stream("GET", url, headers={"Accept": "text/calendar"}) as response:
                _record_certificate(response)
                if response.is_redirect:
                    url = urljoin(url, response.headers.get("Location", ""))
                    parts = urlsplit(url)
                    if (parts.scheme, parts.netloc) != ("https", host):
                        raise CalendarDownloadError("redirects to another host; configure that host's URL")
                    continue
                if response.status_code != httpx.codes.OK:
                    raise CalendarDownloadError(f"responds with {response.status_code}")
                return await _read_text(response)
    raise CalendarDownloadError("redirects too often")


def _record_certificate(response: httpx.Response) -> None:
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    set_certificate(response.url.host, tls.getpeercert())


async def _read_text(response: httpx.Response) -> str:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MAX_CALENDAR_LENGTH:
            raise CalendarDownloadError(f"is larger than {MAX_CALENDAR_LENGTH:,} bytes")
    return content.decode("utf-8")


def _describe(error: BaseException) -> str:
    """The kind of failure. httpx hides a certificate error below its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({cause.verify_message}); SSL_CERT_FILE names the trusted authorities"
            )
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
