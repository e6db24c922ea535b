"""The board's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from tocsin.runtime.database.migrations import create_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_runtime_tables(offsets=True)
    op.execute(sa.schema.CreateSequence(sa.Sequence("ticket_versions")))
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("ticket", JSONB, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("assignee", sa.Text),
        sa.Column("facts", sa.Integer, nullable=False, comment="how many facts have arrived"),
        sa.Column("historic", sa.Boolean, nullable=False),
        sa.Column("clocks", JSONB, comment="the item of sla-timer's POST /v1/clocks; null until it was read"),
        sa.Column("ladder", JSONB, comment="the ladder of the escalator's POST /v1/ladders"),
        sa.Column("last_mail", JSONB),
        sa.Column("deadline_event_id", sa.Uuid, comment="the deadline event that arrived last"),
        sa.Column("stale_at", INSTANT, comment="real time from which clocks and ladder must be read again"),
        sa.Column("version", sa.BigInteger, nullable=False, comment="from ticket_versions; higher with every change"),
        comment="One row per ticket",
    )
    op.create_index("tickets_tenant_idx", "tickets", ["tenant"], postgresql_where=sa.text("is_open"))
    op.create_index("tickets_version_idx", "tickets", ["version"])
    op.create_index("tickets_stale_at_idx", "tickets", ["stale_at"], postgresql_where=sa.text("stale_at IS NOT NULL"))
    op.create_table(
        "facts",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fact", JSONB, nullable=False),
        comment="Every fact, as it was published",
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("event", JSONB, nullable=False),
        sa.UniqueConstraint("position", name="events_position_key"),
        comment="Every event of the deadlines and the escalations topic, as it was published",
    )
    op.create_index("events_ticket_id_idx", "events", ["ticket_id"])
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Uuid, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("delivery", JSONB, nullable=False, comment="the latest event of the delivery"),
        comment="The latest state of each delivery",
    )
    op.create_index("deliveries_ticket_id_idx", "deliveries", ["ticket_id"])
