"""Signatures and shared secrets of webhooks, compared in constant time over the raw bytes. Pure.

Several secrets may be valid at once, so that one can be rotated without a gap. All of them are compared, so that the
time does not reveal which one matched. A value that is missing, truncated, sent twice or not ASCII never matches;
nothing here raises.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Literal

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["base64", "hex"]


def has_signature(
    value: str | None,
    secrets: Sequence[bytes],
    message: bytes,
    *,
    algorithm: Algorithm = "sha256",
    encoding: Encoding = "base64",
    prefix: str = "",
) -> bool:
    """Whether a header's value is `prefix` and the HMAC of `message` with one of the secrets."""
    if value is None or not value.startswith(prefix):
        return False
    code = value.removeprefix(prefix)
    digests = [hmac.digest(secret, message, algorithm) for secret in secrets if secret]
    if encoding == "hex":
        return equals_any(code.lower(), [digest.hex().encode() for digest in digests])
    return equals_any(code, [base64.b64encode(digest) for digest in digests])


def has_credentials(authorization: str | None, secrets: Sequence[bytes], *, user: str | None = None) -> bool:
    """Whether the Authorization header is Basic with `user` and one of the secrets; without `user`, Bearer."""
    scheme, _, credentials = (authorization or "").partition(" ")
    valid = [secret for secret in secrets if secret]
    if user is None:
        return scheme.lower() == "bearer" and equals_any(credentials, valid)
    basic = [base64.b64encode(user.encode() + b":" + secret) for secret in valid]
    return scheme.lower() == "basic" and equals_any(credentials, basic)


def equals_any(value: str | None, valid: Sequence[bytes]) -> bool:
    """Whether the value is one of these; an empty one never is."""
    if not value or not value.isascii():
        return False
    return sum(hmac.compare_digest(value.encode(), each) for each in valid) > 0
