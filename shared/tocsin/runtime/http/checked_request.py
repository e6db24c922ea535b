"""Sends an HTTP request to allowed addresses only: the connection goes to an address that was checked.

The name is resolved once. A second look-up could have another result (DNS rebinding).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx

from tocsin.runtime.errors import RequestFailedError
from tocsin.runtime.http.public_address import Address, Network, is_allowed, parse_address

_CONNECT_SECONDS: Final = 5.0
_NAME_MISMATCH: Final = (62, 64)
_EXPIRED: Final = 10
"""OpenSSL's codes: X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH, _CERT_HAS_EXPIRED."""


@dataclass(frozen=True, slots=True)
class AllowedAddresses:
    """Public addresses, and those in `networks`, which the setting `setting` lists. For http, only the latter."""

    networks: Sequence[Network]
    setting: str

    def check(self, address: Address, scheme: str) -> None:
        """Check an address. Raises RequestFailedError if no request may be sent there."""
        if scheme == "http":
            if not any(address in network for network in self.networks):
                raise RequestFailedError(
                    f"is at {address}, which http:// may not be used with; use https://, or allow its network: "
                    f"{self._advice(address)}"
                )
        elif not is_allowed(address, self.networks):
            raise RequestFailedError(
                f"is at {address}, which is not a public address; if it is meant, allow its network: "
                f"{self._advice(address)}"
            )

    def _advice(self, address: Address) -> str:
        return f"{self.setting}={address}/{address.max_prefixlen}"


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request to one URL."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    content: bytes = b""


def trusted_authorities() -> ssl.SSLContext:
    """The certificate authorities of SSL_CERT_FILE, or of the system. Raises RequestFailedError."""
    try:
        return httpx.create_ssl_context()
    except OSError:
        raise RequestFailedError(
            "cannot be reached, because SSL_CERT_FILE or SSL_CERT_DIR contains no PEM certificates; "
            "correct that variable"
        ) from None


async def check_host(url: httpx.URL, allowed: AllowedAddresses) -> None:
    """Check the addresses of the host as before a request, without a connection. Raises RequestFailedError."""
    await _resolve(url, allowed, is_proxied=_proxy(url) is not None)


@asynccontextmanager
async def send_checked(
    request: CheckedRequest, allowed: AllowedAddresses, tls: ssl.SSLContext, *, seconds: float
) -> AsyncIterator[httpx.Response]:
    """The response of the first address that accepts a connection, or of the proxy of the environment.

    Each step may take `seconds`. Redirects are not followed. Raises RequestFailedError, and the errors of httpx and the
    operating system, which `describe_request_error` describes.
    """
    url = request.url
    proxy = _proxy(url)
    addresses = await _resolve(url, allowed, is_proxied=proxy is not None)
    async with _client(tls, proxy, seconds) as client:
        # To the address itself, not to its name: another look-up could have another result.
        targets = [url] if proxy is not None else [url.copy_with(host=address) for address in addresses]
        response = await _first_response(client, request, targets)
        try:
            yield response
        finally:
            await response.aclose()


def _proxy(url: httpx.URL) -> str | None:
    """The proxy of the environment for this URL; None without one."""
    proxies = getproxies()
    return None if proxy_bypass(url.host) else proxies.get(url.scheme) or proxies.get("all")


def _client(tls: ssl.SSLContext, proxy: str | None, seconds: float) -> httpx.AsyncClient:
    timeout = httpx.Timeout(seconds, connect=_CONNECT_SECONDS)
    try:
        return httpx.AsyncClient(verify=tls, proxy=proxy, trust_env=False, follow_redirects=False, timeout=timeout)
    except (ValueError, ImportError):
        raise RequestFailedError(
            "cannot be reached, because HTTPS_PROXY is not the address of an HTTP proxy; correct it"
        ) from None


async def _first_response(
    client: httpx.AsyncClient, request: CheckedRequest, targets: Sequence[httpx.URL]
) -> httpx.Response:
    url = request.url
    headers = {**request.headers, "Host": url.netloc.decode("ascii")}
    # The certificate must be that of the name, although the connection goes to an address.
    extensions = {"sni_hostname": url.raw_host.decode("ascii")}
    for number, target in enumerate(targets, start=1):
        prepared = client.build_request(
            request.method, target, headers=headers, content=request.content or None, extensions=extensions
        )
        try:
            return await client.send(prepared, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if number == len(targets):
                raise
    raise AssertionError("a name that resolves has an address")


async def _resolve(url: httpx.URL, allowed: AllowedAddresses, *, is_proxied: bool) -> Sequence[str]:
    """All addresses of the host, in the system's order. Raises RequestFailedError if one of them is not allowed.

    A proxy may know names that this machine does not know.
    """
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        if is_proxied:
            return ()
        raise RequestFailedError("has a name that cannot be resolved; correct the address, or DNS") from None
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for address in addresses:
        allowed.check(parse_address(address), url.scheme)
    return addresses


def describe_request_error(error: BaseException) -> str:
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
        return "cannot be reached, because the proxy in HTTPS_PROXY refuses the connection; ask its operator"
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
