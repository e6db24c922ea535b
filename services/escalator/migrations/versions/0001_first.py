"""The escalator's first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _runtime_tables()
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        comment="One row a ticket, locked while anything is decided about it",
    )
    op.create_index("tickets_tenant_customer_id_idx", "tickets", ["tenant", "customer_id"])
    op.create_table(
        "handled",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        comment="The deadlines events that were decided on: the same one again changes nothing",
    )
    op.create_table(
        "ladders",
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), primary_key=True),
        sa.Column("cycle", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("kept", sa.Boolean, nullable=False),
        sa.Column("tier", sa.Integer, nullable=False, comment="the number last told, 0 for none"),
        sa.Column("tiers", JSONB, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("exhausted", sa.Text),
        sa.Column("skipped", JSONB, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("end_reason", sa.Text),
    )
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
        sa.Column("notification", sa.Uuid, comment="null: historic, nobody was addressed"),
        sa.Column("voided", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["ticket_id", "cycle", "run"], ["ladders.ticket_id", "ladders.cycle", "ladders.run"]),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("source", sa.Uuid, nullable=False, comment="the deadlines event it was decided for"),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("clock", sa.Text),
        sa.Column("open", sa.Boolean, nullable=False, comment="neither withdrawn nor stood down"),
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
        comment="What was published, to be published again by `republish`",
    )
    op.create_index("decisions_decided_at_idx", "decisions", ["decided_at"])


def _runtime_tables() -> None:
    op.create_table(
        "offsets",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("accepted_through", INSTANT),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("offset", sa.BigInteger),
        sa.Column("key", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("replayed_at", INSTANT),
    )
    op.create_index(
        "dead_letters_waiting_idx", "dead_letters", ["topic", "key"], postgresql_where=sa.text("replayed_at IS NULL")
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
    )
    op.create_index("outbox_partition_received_at_idx", "outbox", ["partition", "received_at"])
    op.create_table(
        "outbox_lease",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.Uuid, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
    )
