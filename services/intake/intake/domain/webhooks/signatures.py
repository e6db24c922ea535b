"""Who sent a delivery: signatures and shared secrets, compared in constant time over the raw bytes. Pure.

Several secrets may be valid at once, so that one can be rotated without a gap; each is tried, so that the time tells
nothing of which one it was. What is missing, truncated, doubled or not ASCII proves nothing; nothing here raises.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Literal

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["base64", "hex"]


def signed(
    given: str | None,
    secrets: Sequence[bytes],
    message: bytes,
    *,
    algorithm: Algorithm = "sha256",
    encoding: Encoding = "base64",
    prefix: str = "",
) -> bool:
    """Whether `given`, a header's value, is `prefix` and the HMAC of `message` under one of the secrets."""
    if given is None or not given.startswith(prefix):
        return False
    code = given.removeprefix(prefix)
    digests = [hmac.digest(secret, message, algorithm) for secret in secrets if secret]
    if encoding == "hex":
        return equal_to_one(code.lower(), [digest.hex().encode() for digest in digests])
    return equal_to_one(code, [base64.b64encode(digest) for digest in digests])


def authorized(given: str | None, secrets: Sequence[bytes], *, user: str | None = None) -> bool:
    """Whether `given`, the Authorization header, is Basic with `user` and one of the secrets; without user Bearer."""
    scheme, _, credentials = (given or "").partition(" ")
    right = [secret for secret in secrets if secret]
    if user is None:
        return scheme.lower() == "bearer" and equal_to_one(credentials, right)
    basic = [base64.b64encode(user.encode() + b":" + secret) for secret in right]
    return scheme.lower() == "basic" and equal_to_one(credentials, basic)


def equal_to_one(given: str | None, right: Sequence[bytes]) -> bool:
    """Whether the text is one of these; an empty one is none."""
    if not given or not given.isascii():
        return False
    return sum(hmac.compare_digest(given.encode(), one) for one in right) > 0
