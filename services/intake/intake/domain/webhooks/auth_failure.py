"""Why a webhook delivery is not authenticated, for the operator's log; the response does not say. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from intake.domain.webhooks.adapters.generic import is_recent
from intake.domain.webhooks.config.integrations import Integration


class AuthFailure(StrEnum):
    """Why authentication failed.

    no_secret: no secret is configured or found. header_missing: the header is missing, or was sent twice.
    stale_timestamp: the signed timestamp is not an instant, or too far from now. wrong: the secret or the signature
    does not match.
    """

    NO_SECRET = "no_secret"
    HEADER_MISSING = "header_missing"
    STALE_TIMESTAMP = "stale_timestamp"
    WRONG = "wrong"


def auth_failure(
    integration: Integration, secrets: Sequence[bytes], headers: Mapping[str, str], now: datetime
) -> AuthFailure:
    """Why these headers do not authenticate a delivery; `headers` as in `Adapter.is_genuine`."""
    if not secrets and not integration.auth.fetch_keys:
        return AuthFailure.NO_SECRET
    if _header(integration) not in headers:
        return AuthFailure.HEADER_MISSING
    signature = integration.auth.signature
    if signature is not None and signature.timestamp_header is not None:
        timestamp = headers.get(signature.timestamp_header.lower())
        if timestamp is None:
            return AuthFailure.HEADER_MISSING
        if not is_recent(timestamp, now, signature.tolerance_seconds):
            return AuthFailure.STALE_TIMESTAMP
    return AuthFailure.WRONG


def _header(integration: Integration) -> str:
    auth = integration.auth
    if integration.adapter == "connectwise":
        return "x-content-signature"
    if integration.adapter == "autotask":
        return "x-hook-signature"
    if auth.signature is not None:
        return auth.signature.header.lower()
    return auth.header.lower() if auth.header is not None else "authorization"
