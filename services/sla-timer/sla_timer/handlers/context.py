"""The database, the clock and the policy, which every use case needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.business_time import micros
from tocsin.policy import Policy
from tocsin.runtime.process.clock import TimeSource

from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.store.policies import count_policies, load_policies


class PolicyCache:
    """The stored versions of the policy, in this process's memory, and their history per customer."""

    def __init__(self, policies: Sequence[Policy] = ()) -> None:
        self.policies = policies
        self._histories: dict[str | None, PolicyHistory] = {}

    async def refresh(self, connection: AsyncConnection) -> None:
        """Load the versions if others have been stored since.

        Call it after locking tickets: then no version is unknown here that was known when they were last evaluated.
        """
        if await count_policies(connection) != len(self.policies):
            self.policies = await load_policies(connection)
            self._histories = {}

    def history(self, customer_id: str | None) -> PolicyHistory:
        """The history for a customer; without special terms, and for None, the general one."""
        has_terms = any(customer_id in policy.customers for policy in self.policies)
        key = customer_id if has_terms else None
        if key not in self._histories:
            self._histories[key] = PolicyHistory.of(self.policies, key)
        return self._histories[key]

    def zone_at(self, at: datetime) -> str:
        """The time zone of the general calendar at an instant. Reports count months in it."""
        return self.history(None).rules_at(micros(at)).calendar.zone.key


@dataclass(frozen=True, slots=True)
class TimerContext:
    """`writer` is for transactions that use cases begin themselves, `reader` for queries.

    `wake_relay` tells this process's relay that events were committed.
    """

    writer: AsyncEngine
    reader: AsyncEngine
    clock: TimeSource
    policies: PolicyCache
    wake_relay: Callable[[], None]
