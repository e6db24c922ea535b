"""Every version of the policy, for ever: timelines are evaluated with that history, never with the file."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.policy import Policy, policy_from_json

from sla_timer.store.tables import POLICIES


class PolicyChangedError(Exception):
    """The policy's content changed but not its version; str() says what to do."""


async def add_policy(connection: AsyncConnection, policy: Policy) -> None:
    """Stores a version once. Raises PolicyChangedError where that version is stored with another content."""
    content = policy.model_dump_json()
    await connection.execute(
        insert(POLICIES)
        .values(version=policy.version, in_force_from=policy.in_force_from, policy=content)
        .on_conflict_do_nothing()
    )
    rows = await connection.execute(select(POLICIES.c.policy).where(POLICIES.c.version == policy.version))
    if policy_from_json(rows.scalar_one()) != policy:
        raise PolicyChangedError(
            f"version {policy.version!r} is stored already and says something else;"
            " give the changed policy a version and an in_force_from of its own."
        )


async def all_policies(connection: AsyncConnection) -> Sequence[Policy]:
    """Every version, in the order in which they were stored."""
    rows = await connection.execute(select(POLICIES.c.policy).order_by(POLICIES.c.stored_at))
    return [policy_from_json(content) for content in rows.scalars()]


async def how_many_policies(connection: AsyncConnection) -> int:
    """The number of versions. None is ever changed or taken away, so as many are the same."""
    return (await connection.execute(select(func.count()).select_from(POLICIES))).scalar_one()
