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

from tocsin.events.escalations import Upcoming
from tocsin.events.values import Instant, Reason, Tier, Value

LEAST_KEY: Final = 32
"""Characters that the signing key must have at least."""

_SIGNER: Final = {"key_derivation": "hmac", "digest_method": hashlib.sha256}

Count = Annotated[int, Field(ge=1)]


class Acknowledgement(Value):
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
    reason: Reason
    person: str
    name: str
    upcoming: Upcoming | None = None
    expires_at: Instant


class LinkRefused(Exception):
    """A link that nobody here has signed, or that was cut short on its way."""


class LinkExpired(Exception):
    """A link of ours that counts no more; `acknowledgement` says what it stood for."""

    def __init__(self, acknowledgement: Acknowledgement) -> None:
        super().__init__(f"expired at {acknowledgement.expires_at}")
        self.acknowledgement = acknowledgement


class _Compact:
    @staticmethod
    def dumps(value: object) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> object:
        return orjson.loads(text)


class Links:
    """Signs with the first of `keys` and reads what any of them has signed, so that a key can be replaced in use."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or any(len(key) < LEAST_KEY for key in keys):
            raise ValueError(f"the key of acknowledgement links must have {LEAST_KEY} characters or more")
        # itsdangerous signs with the last one.
        self._serializer = URLSafeSerializer(
            list(reversed(keys)), salt="tocsin.acknowledgement.1", serializer=_Compact, signer_kwargs=_SIGNER
        )

    def sign(self, acknowledgement: Acknowledgement) -> str:
        """The token: ASCII that needs no escaping in a path."""
        return self._serializer.dumps(acknowledgement.model_dump(mode="json", exclude_none=True))

    def read(self, token: str, now: datetime) -> Acknowledgement:
        """What the token stands for. Raises LinkRefused, or LinkExpired where it did until before `now`."""
        try:
            found = Acknowledgement.model_validate(self._serializer.loads(token))
        except (BadSignature, BadPayload, ValidationError, UnicodeError) as error:
            raise LinkRefused("not signed by this installation") from error
        if found.expires_at <= now:
            raise LinkExpired(found)
        return found
