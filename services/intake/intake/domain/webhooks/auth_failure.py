"""Why a delivery proves nothing, for who runs the installation; whoever sent it is not told. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from intake.domain.webhooks.adapters.generic import recent
from intake.domain.webhooks.config.integrations import Integration

Refusal = Literal["no_secret", "header_missing", "stale_timestamp", "wrong"]
"""no_secret: none is configured or there. header_missing: what should prove it was not sent, or sent twice.

stale_timestamp: the signed timestamp is no instant, or too far from now. wrong: the signature or the secret is another.
"""


def refusal(integration: Integration, secrets: Sequence[bytes], headers: Mapping[str, str], now: datetime) -> Refusal:
    """Why these headers did not prove a delivery."""
    if not secrets and not integration.auth.fetch_keys:
        return "no_secret"
    if _header(integration) not in headers:
        return "header_missing"
    signature = integration.auth.signature
    if signature is not None and signature.timestamp_header is not None:
        timestamp = headers.get(signature.timestamp_header.lower())
        if timestamp is None:
            return "header_missing"
        if not recent(timestamp, now, signature.tolerance_seconds):
            return "stale_timestamp"
    return "wrong"


def _header(integration: Integration) -> str:
    auth = integration.auth
    if integration.adapter == "connectwise":
        return "x-content-signature"
    if integration.adapter == "autotask":
        return "x-hook-signature"
    if auth.signature is not None:
        return auth.signature.header.lower()
    return auth.header.lower() if auth.header is not None else "authorization"
