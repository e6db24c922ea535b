"""Downloads an iCalendar feed, with limits on time, size, redirects and addresses."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx

from tocsin.directory import MAX_CALENDAR_LENGTH
from tocsin.runtime.http.public_address import Network, is_allowed, parse_address
from tocsin.runtime.metrics import set_certificate

_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 5.0
_MOST_REDIRECTS: Final = 3
_NAME_MISMATCH: Final = (62, 64)
_EXPIRED: Final = 10
"""OpenSSL's codes: X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH, _CERT_HAS_EXPIRED."""


class CalendarDownloadError(Exception):
    """A feed could not be downloaded. `str()` says why, without its URL, which may contain a token."""


async def download_calendar(url: str, networks: Sequence[Network] = ()) -> bytes:
    """The content at an https URL. Raises CalendarDownloadError.

    The host must be at public addresses, or in `networks`; each connection goes to an address that was checked.
    Redirects are followed on the same host only.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await _download(httpx.URL(url), networks)
    except httpx.InvalidURL:
        raise CalendarDownloadError("has an address that is not a URL; correct it") from None
    except (TimeoutError, httpx.TimeoutException):
        raise CalendarDownloadError(f"does not respond within {_SECONDS:.0f} seconds") from None
    except (httpx.HTTPError, OSError) as error:
        raise CalendarDownloadError(_describe(error)) from None


async def _download(url: httpx.URL, networks: Sequence[Network]) -> bytes:
    host = (url.host, url.port)
    tls = _tls()
    for _ in range(_MOST_REDIRECTS + 1):
        async with _get(url, networks, tls) as response:
            if response.is_redirect:
                url = url.join(response.headers.get("Location", ""))
                if (url.scheme, url.host, url.port) != ("https", *host):
                    raise CalendarDownloadError("redirects to another host; configure that host's URL")
                continue
            if response.status_code != httpx.codes.OK:
                raise CalendarDownloadError(f"responds with {response.status_code}")
            return await _read_content(response)
    raise CalendarDownloadError("redirects too often")


def _tls() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError:
        raise CalendarDownloadError(
            "cannot be fetched, because SSL_CERT_FILE or SSL_CERT_DIR contains no PEM certificates; "
            "correct that variable"
        ) from None


@asynccontextmanager
async def _get(url: httpx.URL, networks: Sequence[Network], tls: ssl.SSLContext) -> AsyncIterator[httpx.Response]:
    """The response of the first address that accepts a connection, or of the proxy of the environment."""
    proxy = None if proxy_bypass(url.host) else (proxies := getproxies()).get("https") or proxies.get("all")
    addresses = await _resolve(url, networks, is_proxied=proxy is not None)
    async with _client(tls, proxy) as client:
        # To the address itself, not to its name: another look-up could have another result.
        targets = [url] if proxy is not None else [url.copy_with(host=address) for address in addresses]
        response = await _first_response(client, url, targets)
        try:
            _record_certificate(url.host, response)
            yield response
        finally:
            await response.aclose()


def _client(tls: ssl.SSLContext, proxy: str | None) -> httpx.AsyncClient:
    timeout = httpx.Timeout(_SECONDS, connect=_CONNECT_SECONDS)
    try:
        return httpx.AsyncClient(verify=tls, proxy=proxy, trust_env=False, follow_redirects=False, timeout=timeout)
    except (ValueError, ImportError):
        raise CalendarDownloadError(
            "cannot be fetched, because HTTPS_PROXY is not the address of an HTTP proxy; correct it"
        ) from None


async def _first_response(client: httpx.AsyncClient, url: httpx.URL, targets: Sequence[httpx.URL]) -> httpx.Response:
    headers = {"Accept": "text/calendar", "Host": url.netloc.decode("ascii")}
    # The certificate must be that of the name, although the connection goes to an address.
    extensions = {"sni_hostname": url.raw_host.decode("ascii")}
    for number, target in enumerate(targets, start=1):
        request = client.build_request("GET", target, headers=headers, extensions=extensions)
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if number == len(targets):
                raise
    raise AssertionError("a name that resolves has an address")


async def _resolve(url: httpx.URL, networks: Sequence[Network], *, is_proxied: bool) -> Sequence[str]:
    """All addresses of the host, in the system's order. Raises CalendarDownloadError if one of them is not allowed.

    A proxy may know names that this machine does not know.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        if is_proxied:
            return ()
        raise CalendarDownloadError("has a name that cannot be resolved; correct the address, or DNS") from None
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for address in map(parse_address, addresses):
        if not is_allowed(address, networks):
            raise CalendarDownloadError(
                f"is at {address}, which is not a public address; if it is meant, allow its network: "
                f"TOCSIN_CALENDAR_NETWORKS={address}/{address.max_prefixlen}"
            )
    return addresses


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


def _describe(error: BaseException) -> str:
    """Why there is no response. httpx hides the cause below its own error."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                return _describe_certificate(cause)
            case ssl.SSLError():
                return "does not use TLS correctly; ask its operator"
            case ConnectionRefusedError():
                return "cannot be reached: connection refused"
            case OSError(strerror=str(reason)) if cause.errno:
                return f"cannot be reached: {reason.lower()}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProxyError):
        return "cannot be fetched, because the proxy in HTTPS_PROXY refuses the connection; ask its operator"
    if isinstance(error, httpx.ConnectError):
        return "cannot be reached; check its address and the network"
    return "ends the connection before its response is complete; ask its operator"


def _describe_certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _NAME_MISMATCH:
        return "has a certificate for another name; use the host name of its certificate in the address"
    if error.verify_code == _EXPIRED:
        return "has a certificate that has expired; its operator must renew it"
    reason = f"({error.verify_message}); SSL_CERT_FILE names the trusted authorities"
    return f"has a certificate that is not trusted {reason}"
