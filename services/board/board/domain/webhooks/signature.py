"""The headers of a webhook, signed as Standard Webhooks describes. Pure."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from standardwebhooks import Webhook

_PREFIX: Final = "whsec_"
_SIZES: Final = range(24, 65)


def webhook_headers(delivery_id: UUID, at: datetime, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """The headers with the id, the real time `at`, and one signature per secret; without secrets no signature.

    Raises ValueError for an invalid secret (see `check_secret`).
    """
    headers = {"webhook-id": str(delivery_id), "webhook-timestamp": str(int(at.timestamp()))}
    signatures = [Webhook(check_secret(secret)).sign(str(delivery_id), at, body) for secret in secrets]
    if signatures:
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def check_secret(secret: str) -> str:
    """The secret. Raises ValueError, without the secret, if it is not `whsec_` and base64 of 24 to 64 bytes."""
    encoded = secret.removeprefix(_PREFIX)
    try:
        size = len(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if encoded == secret or size not in _SIZES:
        raise ValueError(f"must be {_PREFIX} and base64 of {_SIZES[0]} to {_SIZES[-1]} random bytes")
    return secret
