"""Deliveries that were taken in long ago keep their keys: what is to be forgotten is looked for among the others."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("hook_deliveries_stored_at_idx", "hook_deliveries")
    op.create_index(
        "hook_deliveries_said_idx",
        "hook_deliveries",
        ["stored_at"],
        postgresql_where=sa.text("state <> 'forgotten'"),
    )
