"""Which notifications were stood down: one that was only withdrawn may have been mailed before."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notifications", sa.Column("stood_down", sa.Boolean, nullable=False, server_default=sa.false()))
