"""The envelope sender of each mail, which names its delivery in a bounce report (docs/decisions/0040). Pure."""

import hashlib
import hmac
from base64 import b32decode, b32encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

MAX_LOCAL_PART: Final = 64
"""RFC 5321, 4.5.3.1.1."""
TOKEN_LENGTH: Final = 32

_SIGNATURE_BYTES: Final = 4
_PURPOSE: Final = b"return path of a delivery"


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """Makes and reads envelope senders such as `bounces+TOKEN@example.org`.

    `address` is where reports arrive, `delimiter` separates the token from its local part. The first of `keys` signs,
    any of them verifies. A token is in lower case: some servers change the case of addresses.
    """

    address: str
    delimiter: str
    keys: Sequence[str]

    def of(self, delivery_id: UUID) -> str:
        """The envelope sender of this delivery's mail."""
        local, _, domain = self.address.rpartition("@")
        token = b32encode(delivery_id.bytes + _signature(self.keys[0], delivery_id)).decode().lower()
        return f"{local}{self.delimiter}{token}@{domain}"

    def find_delivery(self, addresses: Iterable[str]) -> UUID | None:
        """The delivery whose envelope sender is among these addresses; None if there is none."""
        begin, _, domain = self.address.casefold().rpartition("@")
        begin += self.delimiter
        for address in addresses:
            local, _, host = address.casefold().rpartition("@")
            if host == domain and local.startswith(begin) and (found := self._verified(local[len(begin) :])):
                return found
        return None

    def _verified(self, token: str) -> UUID | None:
        if len(token) != TOKEN_LENGTH or not token.isascii():
            return None
        try:
            octets = b32decode(token, casefold=True)
        except ValueError:
            return None
        delivery_id, signature = UUID(bytes=octets[:16]), octets[16:]
        is_ours = any(hmac.compare_digest(signature, _signature(key, delivery_id)) for key in self.keys)
        return delivery_id if is_ours else None


def _signature(key: str, delivery_id: UUID) -> bytes:
    return hmac.digest(key.encode(), _PURPOSE + delivery_id.bytes, hashlib.sha256)[:_SIGNATURE_BYTES]
