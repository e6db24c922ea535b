"""A mail that an address did not take goes on to the next one as a row of its own; who held the role first is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deliveries",
        sa.Column(
            "fallback",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="0: to the person's first address; otherwise the how manieth address after it",
        ),
    )
    op.add_column("deliveries", sa.Column("fallback_of", sa.Uuid, sa.ForeignKey("deliveries.id")))
    op.add_column(
        "deliveries",
        sa.Column(
            "scheduled_person",
            sa.Text,
            comment="who held the role at `scheduled_at`, where somebody else did at sending",
        ),
    )
    # Looser than the one before it, so that code which knows no fallback runs on.
    op.drop_constraint("deliveries_notification_id_person_redelivery_key", "deliveries")
    op.create_unique_constraint(
        "deliveries_notification_id_person_redelivery_fallback_key",
        "deliveries",
        ["notification_id", "person", "redelivery", "fallback"],
    )
