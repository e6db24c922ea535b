"""What was lately not delivered is counted from the journal: a report may come to a process that nobody scrapes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "journal_undelivered_idx",
        "journal",
        ["real_at"],
        postgresql_where=sa.text("entry IN ('bounced', 'refused', 'undeliverable')"),
    )
