"""Which ticket each mail belongs to, so that answers find it and a second copy counts once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mails",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("message", sa.LargeBinary, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
    )
