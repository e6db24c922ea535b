"""Versions of the policy: store the configured one, and evaluate tickets again when a version was added."""

from typing import Final
from uuid import UUID

from tocsin.policy import Policy

from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.evaluation import evaluate_and_publish
from sla_timer.store.policies import add_policy
from sla_timer.store.tickets import lock_outdated

_BATCH: Final = 300


async def store_policy(context: TimerContext, policy: Policy) -> None:
    """Store the configured version. Raises PolicyConflictError if it is stored with other content."""
    async with context.writer.begin() as connection:
        await add_policy(connection, policy)
        await context.policies.refresh(connection)


class PolicyRollout:
    """Evaluates again the tickets that were last evaluated with fewer policy versions (docs/rules.md#4-16)."""

    def __init__(self, context: TimerContext) -> None:
        self._context = context
        self._finished_with = 0

    async def run(self) -> None:
        """Evaluate the outdated tickets: the open ones, and once per added version the closed ones that it concerns.

        A version concerns the tickets that were closed while it was in force; the first one stored, none.
        """
        context = self._context
        async with context.writer.connect() as connection:
            await context.policies.refresh(connection)
        policies = context.policies.policies
        closed_since = min((policy.in_force_from for policy in policies[1:]), default=None)
        if len(policies) == self._finished_with:
            closed_since = None
        after = UUID(int=0)
        while True:
            async with context.writer.begin() as connection:
                tickets = await lock_outdated(
                    connection, policy_versions=len(policies), closed_since=closed_since, after=after, limit=_BATCH
                )
                await evaluate_and_publish(context, connection, tickets)
            if len(tickets) < _BATCH:
                self._finished_with = len(policies)
                return
            after = tickets[-1]
