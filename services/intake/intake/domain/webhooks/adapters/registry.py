"""The adapters: one pure module per tool, with what `Adapter` describes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from intake.domain.webhooks.adapters import autotask, connectwise, generic, halopsa
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import AdapterName, Integration
from intake.domain.webhooks.snapshot import DeliveryContent


class Adapter(Protocol):
    """Authenticates and reads the deliveries of one kind of tool.

    `SEND_TICKET` says what to change where a delivery lacks its ticket. Call `read_delivery` instead of `read`.
    """

    SEND_TICKET: str

    def is_genuine(
        self, auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        """Whether one of the secrets authenticates these raw bytes; compared in constant time. Never raises.

        `headers` have lower-case names and omit headers that were sent twice. `now` is real time.
        """

    def read(self, body: bytes, integration: Integration) -> DeliveryContent:
        """The tickets of the delivery, or why it is ignored. Raises UnreadableError, and nothing else."""


ADAPTERS: Final[Mapping[AdapterName, Adapter]] = {
    "connectwise": connectwise,
    "autotask": autotask,
    "halopsa": halopsa,
    "generic": generic,
}
