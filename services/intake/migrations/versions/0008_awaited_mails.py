"""Which mails those of a ticket refer to, so that one that comes after its answer joins the ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "awaited_mails",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("message", sa.LargeBinary, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
    )
