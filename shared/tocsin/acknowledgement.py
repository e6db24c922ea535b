"""The signed link in an escalation's mail: who may acknowledge what with it. Notifier writes it, intake reads it."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import orjson
from itsdangerous import BadSignature, URLSafeSerializer
from itsdangerous.exc import BadPayload
from pydantic import Field, ValidationError

from tocsin.events import EscalationReason, FrozenModel, Tier, UpcomingStep
from tocsin.instants import Instant

MIN_KEY_LENGTH: Final = 32
"""Characters that the signing key must have at least."""

_SIGNER: Final = {"key_derivation": "hmac", "digest_method": hashlib.sha256}

Count = Annotated[int, Field(ge=1)]


class AcknowledgementLink(FrozenModel):
    """What a link stands for: `person` (called `name`) was mailed about `step` of `run`, standing on `tier`.

    `upcoming` is what was pending when the mail was written; None: it was not known. `expires_at` is the first instant,
    in business time, at which the link does not count any more.
    """

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
    expires_at: Instant


class InvalidLinkError(Exception):
    """A link that nobody here has signed, or that was cut short on its way."""


class ExpiredLinkError(Exception):
    """A link of ours that counts no more; `acknowledgement` says what it stood for."""

    def __init__(self, link: AcknowledgementLink) -> None:
        super().__init__(f"expired at {link.expires_at}")
        self.link = link


class _Compact:
    @staticmethod
    def dumps(value: object) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> object:
        return orjson.loads(text)


class LinkSigner:
    """Signs with the first of `keys` and reads what any of them has signed, so that a key can be replaced in use."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or any(len(key) < MIN_KEY_LENGTH for key in keys):
            raise ValueError(f"the key of acknowledgement links must have {MIN_KEY_LENGTH} characters or more")
        # itsdangerous signs with the last one.
        self._serializer = URLSafeSerializer(
            list(reversed(keys)), salt="tocsin.acknowledgement.1", serializer=_Compact, signer_kwargs=_SIGNER
        )

    def sign(self, acknowledgement: AcknowledgementLink) -> str:
        """The token: ASCII that needs no escaping in a path."""
        return self._serializer.dumps(acknowledgement.model_dump(mode="json", exclude_none=True))

    def verify(self, token: str, now: datetime) -> AcknowledgementLink:
        """What the token stands for. Raises LinkRefused, or LinkExpired where it did until before `now`."""
        try:
            found = AcknowledgementLink.model_validate(self._serializer.loads(token))
        except (BadSignature, BadPayload, ValidationError, UnicodeError) as error:
            raise InvalidLinkError("not signed by this installation") from error
        if found.expires_at <= now:
            raise ExpiredLinkError(found)
        return found
