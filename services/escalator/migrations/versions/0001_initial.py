"""The escalator's tables."""

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
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("customer_name", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        comment="One row per ticket, locked before anything is decided about it",
    )
    op.create_index("tickets_tenant_customer_id_idx", "tickets", ["tenant", "customer_id"])
    op.create_table(
        "handled",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        comment="Deadline events already decided on; a repeated event changes nothing",
    )
    op.create_table(
        "ladders",
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), primary_key=True),
        sa.Column("cycle", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("kept", sa.Boolean, nullable=False),
        sa.Column("tier", sa.Integer, nullable=False, comment="number of the last tier notified, 0 for none"),
        sa.Column("tiers", JSONB, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("exhausted", sa.Text),
        sa.Column("exhausted_at", INSTANT),
        sa.Column("skipped", JSONB, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("end_reason", sa.Text),
        sa.Column("severity", sa.SmallInteger, comment="the severity that governed at the last event"),
        sa.Column("due_at", INSTANT, comment="the resolution deadline as of the last step"),
        sa.Column("acknowledgements", JSONB, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False, comment="false while every event is historic"),
    )
    op.create_index("ladders_tier_idx", "ladders", ["tier"], postgresql_where=sa.text("live AND ended_at IS NULL"))
    op.create_table(
        "steps",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("cycle", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tier", JSONB, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("skipped", JSONB, nullable=False),
        sa.Column("notification", sa.Uuid, comment="null for a historic step, which notified nobody"),
        sa.Column("voided", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["ticket_id", "cycle", "run"], ["ladders.ticket_id", "ladders.cycle", "ladders.run"]),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("source", sa.Uuid, nullable=False, comment="the deadline event it was decided for"),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("clock", sa.Text),
        sa.Column("open", sa.Boolean, nullable=False, comment="neither withdrawn nor stood down"),
        sa.Column("stood_down", sa.Boolean, nullable=False),
    )
    op.create_index("notifications_ticket_id_idx", "notifications", ["ticket_id"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False, comment="business time"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        comment="Every event published, for `republish`",
    )
    op.create_index("decisions_decided_at_idx", "decisions", ["decided_at"])
