"""Messages that were reported as bounces and changed nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unmatched_reports",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.Text, comment="whose key posted it; null: it came by the command"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False, comment="the reason as a sentence"),
        sa.Column("sender", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("message_id", sa.Text, comment="of the mail that it is about, if it names one"),
        sa.Column("recipient", sa.Text, comment="of that mail, as far as it can be guessed"),
        sa.Column("size", sa.Integer, nullable=False, comment="bytes of the whole message"),
        sa.Column(
            "digest", sa.LargeBinary, nullable=False, comment="SHA-256 of the whole message: a repeat is stored once"
        ),
        sa.Column("raw", sa.LargeBinary, nullable=False, comment="the beginning of the message"),
        sa.UniqueConstraint("tenant", "digest", postgresql_nulls_not_distinct=True),
        comment="Messages that were reported as bounces and changed nothing, for people to read; bounded",
    )
    op.create_index("unmatched_reports_tenant_idx", "unmatched_reports", ["tenant", "id"])
