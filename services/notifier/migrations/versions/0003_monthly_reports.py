"""Monthly reports are notifications and deliveries that are about no ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Comments only: a report has an id in the place of a ticket's, so no table changes."""
    op.create_table_comment(
        "tickets", "One row a ticket or report, locked while anything is decided about its deliveries"
    )
    op.alter_column(
        "notifications",
        "type",
        existing_type=sa.Text,
        existing_nullable=False,
        comment="`notify`, `stand_down`, `exhausted` or `report.ready`",
    )
    op.create_table_comment(
        "notifications", "Every event received that requests mails; a repeated event changes nothing"
    )
    op.alter_column(
        "deliveries",
        "severity",
        existing_type=sa.SmallInteger,
        existing_nullable=False,
        comment="5: a report, which has none and leaves last",
    )
