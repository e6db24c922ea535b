"""What an adapter is: a pure module of the tool's name with these two functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from intake.domain.webhooks.adapters import autotask, connectwise, generic, halopsa
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import AdapterName, Integration
from intake.domain.webhooks.snapshot import DeliveryContent


class Adapter(Protocol):
    """Proves a delivery of one kind of tool, and reads it."""

    def genuine(
        self, auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        """Whether one of the secrets proves these raw bytes, in constant time.

        `headers` have lower-case names; a header that was sent twice, and a value that is not ASCII, proves nothing.
        `now` is real time. Never raises.
        """

    def read(self, body: bytes, settings: Integration) -> DeliveryContent:
        """What the delivery says. Raises UnreadableError, and nothing else."""


ADAPTERS: Final[Mapping[AdapterName, Adapter]] = {
    "connectwise": connectwise,
    "autotask": autotask,
    "halopsa": halopsa,
    "generic": generic,
}
