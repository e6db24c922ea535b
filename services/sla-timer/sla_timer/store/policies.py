"""Every version of the policy, forever: timelines are evaluated with this history, never with the file."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.policy import Policy, policy_from_json

from sla_timer.errors import PolicyConflictError
from sla_timer.store.tables import POLICIES


async def add_policy(connection: AsyncConnection, policy: Policy) -> None:
    """Store a version once. Raises PolicyConflictError if that version is stored with other content."""
    await connection.execute(
        insert(POLICIES)
        .values(version=policy.version, in_force_from=policy.in_force_from, policy=policy.model_dump_json())
        .on_conflict_do_nothing()
    )
    stored = await connection.execute(select(POLICIES.c.policy).where(POLICIES.c.version == policy.version))
    if policy_from_json(stored.scalar_one()) != policy:
        raise PolicyConflictError(
            f"version {policy.version!r} is already stored with other content."
            " Give the changed policy a new version and its own in_force_from."
        )


async def load_policies(connection: AsyncConnection) -> Sequence[Policy]:
    """Every version, in the order in which they were stored."""
    rows = await connection.execute(select(POLICIES.c.policy).order_by(POLICIES.c.stored_at))
    return [policy_from_json(content) for content in rows.scalars()]


async def count_policies(connection: AsyncConnection) -> int:
    """The number of versions. Versions are append-only, so an equal count means an equal set."""
    return (await connection.execute(select(func.count()).select_from(POLICIES))).scalar_one()
