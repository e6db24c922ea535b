"""Deliveries of webhooks as they came, the sightings of tickets in them, and since when each integration is known."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "hook_deliveries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", INSTANT),
        sa.UniqueConstraint("tenant", "provider", "key"),
    )
    op.create_index("hook_deliveries_next_at_idx", "hook_deliveries", ["next_at"])
    op.create_index("hook_deliveries_stored_at_idx", "hook_deliveries", ["stored_at"])
    op.create_index(
        "hook_deliveries_unmapped_idx",
        "hook_deliveries",
        ["tenant", "id"],
        postgresql_where=sa.text("state = 'unmapped'"),
    )
    op.create_table(
        "hook_sightings",
        sa.Column("delivery_id", sa.BigInteger, sa.ForeignKey("hook_deliveries.id", ondelete="CASCADE")),
        sa.Column("place", sa.SmallInteger),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("shown", JSONB, nullable=False),
        sa.Column("opened_it", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "place"),
    )
    op.create_index("hook_sightings_ticket_id_idx", "hook_sightings", ["ticket_id"])
    op.create_table(
        "hook_integrations",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("made_at", INSTANT, nullable=False),
    )
