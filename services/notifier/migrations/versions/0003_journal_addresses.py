"""The journal says to which address an attempt went: a later report of a mail server names no more than that."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column(
        "journal",
        "entry",
        comment="the state reached, `ambiguous` or `reported`",
        existing_comment="the state reached, or `ambiguous`",
        existing_type=sa.Text,
        existing_nullable=False,
    )
    op.add_column("journal", sa.Column("email", sa.Text, comment="the address that it was about, if there was one"))
