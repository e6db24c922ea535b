"""An index for each filter of the list of tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("tickets_open_idx", "tickets", ["tenant", "position"], postgresql_where=sa.text("is_open"))
    op.create_index("tickets_severity_idx", "tickets", ["tenant", "severity", "position"])
    op.create_index("tickets_source_idx", "tickets", ["tenant", sa.text("md5(source)"), "position"])
