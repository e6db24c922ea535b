"""The signed link in an escalation mail (docs/decisions/0026-acknowledgement-link.md). Notifier signs, intake verifies.

Errors:

- `InvalidLinkError`: the token was not signed by this installation, or was changed, or is spelled in another way.
- `ExpiredLinkError`: the token is valid, but has expired.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
from itsdangerous import BadData, BadSignature, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.exc import BadPayload
from pydantic import ValidationError

from tocsin.events import Count, EscalationReason, FrozenModel, Tier, UpcomingStep
from tocsin.instants import Instant

MIN_KEY_LENGTH: Final = 32
"""The least number of characters of a signing key."""

MAX_TOKEN_LENGTH: Final = 1500
"""The greatest number of characters of a token; some mail programs cut URLs of more than 2,000."""

_SIGNER: Final = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


class NotifiedPerson(FrozenModel):
    """Someone whom an earlier step of the ladder notified."""

    tier: Count
    title: str
    name: str | None = None
    """None if nobody was found."""
    at: Instant
    """The scheduled instant of the step."""


class AcknowledgementLink(FrozenModel):
    """What a link acknowledges: the step of a run, for the person who was mailed about it."""

    tenant: str
    ticket_id: UUID
    cycle: Count
    run: Count
    step: Count
    tier: Tier
    reason: EscalationReason
    person: str
    name: str
    upcoming: UpcomingStep | None = None
    """The next step when the mail was written. None if it was unknown."""
    due_at: Instant | None = None
    """The resolution deadline when the mail was written. None if it was unknown."""
    notified: tuple[NotifiedPerson, ...] = ()
    """The people whom earlier steps notified, the highest tiers first."""
    expires_at: Instant
    """The first instant, in business time, at which the link is no longer valid."""


class InvalidLinkError(Exception):
    """The token was not signed by this installation, or was changed."""


class ExpiredLinkError(Exception):
    """The token is valid, but has expired. `link` is its content."""

    def __init__(self, link: AcknowledgementLink) -> None:
        super().__init__(f"expired at {link.expires_at}")
        self.link = link


class _Json:
    @staticmethod
    def dumps(value: object) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> object:
        return orjson.loads(text)


class LinkSigner:
    """Signs with the first of `keys` and verifies with any of them, so that a key can be replaced without downtime.

    Raises ValueError without a key, or if a key has fewer than MIN_KEY_LENGTH characters.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or any(len(key) < MIN_KEY_LENGTH for key in keys):
            raise ValueError(f"the key of acknowledgement links must have {MIN_KEY_LENGTH} characters or more")
        # itsdangerous signs with the last key.
        self._serializer = URLSafeSerializer(
            list(reversed(keys)), salt="tocsin.acknowledgement.1", serializer=_Json, signer_kwargs=_SIGNER
        )

    def sign(self, link: AcknowledgementLink) -> str:
        """Return the token of a link: ASCII that needs no escaping in a URL path.

        Where the token would exceed MAX_TOKEN_LENGTH, it omits the last of `notified`.
        """
        token = str(self._serializer.dumps(link.model_dump(mode="json", exclude_none=True)))
        if len(token) > MAX_TOKEN_LENGTH and link.notified:
            return self.sign(link.model_copy(update={"notified": link.notified[:-1]}))
        return token

    def verify(self, token: str, now: datetime) -> AcknowledgementLink:
        """Return the link of a token. Raises InvalidLinkError, or ExpiredLinkError if it has expired at `now`."""
        if not _is_canonical(token):
            raise InvalidLinkError("not the spelling that was signed")
        try:
            link = AcknowledgementLink.model_validate(self._serializer.loads(token))
        except (BadSignature, BadPayload, ValidationError, UnicodeError) as error:
            raise InvalidLinkError("not signed by this installation") from error
        if link.expires_at <= now:
            raise ExpiredLinkError(link)
        return link


def _is_canonical(token: str) -> bool:
    """Whether the signature is written as we write it: base64 has other spellings of the same bytes.

    The part before it needs no check, because it is signed as it is written.
    """
    signature = token.rpartition(".")[2]
    try:
        return base64_encode(base64_decode(signature)).decode() == signature
    except BadData:
        return False
