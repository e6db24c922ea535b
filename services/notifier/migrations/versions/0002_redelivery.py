"""A mail can be sent once more, as a row of its own; a mail is found by its Message-ID and by when it was queued."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deliveries",
        sa.Column(
            "redelivery",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="0: what an event asked for; otherwise the how manieth time somebody asked for it once more",
        ),
    )
    op.add_column("deliveries", sa.Column("redelivery_of", sa.Uuid, sa.ForeignKey("deliveries.id")))
    op.add_column("deliveries", sa.Column("redelivered_by", sa.Text))
    # Looser than the one before it, so that code which knows no redelivery runs on.
    op.drop_constraint("deliveries_notification_id_person_key", "deliveries")
    op.create_unique_constraint(
        "deliveries_notification_id_person_redelivery_key",
        "deliveries",
        ["notification_id", "person", "redelivery"],
    )
    op.create_index("deliveries_message_id_idx", "deliveries", ["message_id"])
    op.create_index("deliveries_queued_at_idx", "deliveries", ["queued_at"], postgresql_using="brin")
