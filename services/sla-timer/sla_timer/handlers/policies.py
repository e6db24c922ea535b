"""Versions of the policy: store the configured one, and evaluate tickets again when one is added or in force."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tocsin.business_time import micros
from tocsin.policy import Policy
from tocsin.runtime.kafka.client import TICKETS_TOPIC

from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.evaluation import CHUNK, evaluate_and_publish
from sla_timer.store.policies import add_policy
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import load_tickets, lock_outdated


async def store_policy(context: TimerContext, policy: Policy) -> None:
    """Store the configured version. Raises PolicyConflictError if it is stored with other content."""
    async with context.writer.begin() as connection:
        await add_policy(connection, policy)
        await context.policies.refresh(connection)


class PolicyRollout:
    """Evaluates tickets again when a version was added, and when one has come into force (docs/rules.md#4-16).

    What falls due is on the agenda already, by the versions in force until then. But the stored clocks, which gauges
    count, are those of the last evaluation.
    """

    def __init__(self, context: TimerContext) -> None:
        self._context = context
        self._finished_with = 0
        self._finished_in_force = 0

    async def run(self) -> None:
        """Evaluate the outdated tickets: the open ones, and once per added version the closed ones that it concerns.

        A version concerns the tickets that were closed while it was in force; the first one stored, none.
        """
        context = self._context
        async with context.writer.connect() as connection:
            await context.policies.refresh(connection)
            positions = await OFFSETS.load(connection, TICKETS_TOPIC)
        policies = context.policies.policies
        closed_since = min((policy.in_force_from for policy in policies[1:]), default=None)
        if len(policies) == self._finished_with:
            closed_since = None
        in_force = self._count_in_force([position.accepted_through for position in positions.values()])
        after = UUID(int=0)
        while True:
            async with context.writer.begin() as connection:
                tickets = await lock_outdated(
                    connection,
                    policy_versions=len(policies),
                    closed_since=closed_since,
                    policies_in_force=None if in_force == self._finished_in_force else in_force,
                    after=after,
                    limit=CHUNK,
                )
                await evaluate_and_publish(context, connection, await load_tickets(connection, tickets))
            context.wake_relay()
            if len(tickets) < CHUNK:
                self._finished_with, self._finished_in_force = len(policies), in_force
                return
            after = tickets[-1]

    def _count_in_force(self, watermarks: Sequence[datetime | None]) -> int:
        """How many versions have come into force by the watermarks of all partitions."""
        known = [watermark for watermark in watermarks if watermark is not None]
        if not known or len(known) < len(watermarks):
            return self._finished_in_force
        return self._context.policies.history(None).count_in_force(micros(min(known)))
