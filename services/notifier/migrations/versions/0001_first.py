"""The notifier's first tables."""

import sqlalchemy as sa
from alembic import op

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
        comment="One row a ticket, locked while anything is decided about its deliveries",
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        comment="Every notify and stand_down taken in, by its event id: the same one again changes nothing",
    )
    op.create_table(
        "withdrawals",
        sa.Column("notification_id", sa.Uuid, primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        comment="Notifications that are not needed any more, known or not known yet",
    )
    _deliveries()
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("delivery_id", sa.Uuid, sa.ForeignKey("deliveries.id"), nullable=False),
        sa.Column("entry", sa.Text, nullable=False, comment="the state reached, or `ambiguous`"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("at", INSTANT, nullable=False, comment="business time"),
        sa.Column("real_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("reply", sa.Text),
        sa.Column("event", sa.LargeBinary, comment="the delivery event that told of it, if one did"),
        comment="What became of each delivery, step by step, in the server's words",
    )
    op.create_index("journal_delivery_id_idx", "journal", ["delivery_id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Uuid, nullable=False, unique=True),
        sa.Column("notification_id", sa.Uuid, sa.ForeignKey("notices.id"), nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer),
        sa.Column("step", sa.Integer),
        sa.Column("tier", sa.Integer),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("occasion", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("role_title", sa.Text, nullable=False),
        sa.Column("scheduled_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ready_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("queued_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT),
        sa.Column("token", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("ambiguous", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("late", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("person", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("rule", sa.Text),
        sa.Column("message_id", sa.Text),
        sa.Column("reply", sa.Text),
        sa.UniqueConstraint("notification_id", "person"),
        comment="One recipient, one row",
    )
    op.create_index("deliveries_ticket_idx", "deliveries", ["ticket_id", "seq"])
    op.create_index("deliveries_tenant_idx", "deliveries", ["tenant", "seq"])
    op.create_index(
        "deliveries_open_idx",
        "deliveries",
        ["severity", sa.text("coalesce(tier, 0) DESC"), "seq"],
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    )
    op.create_index(
        "deliveries_once_idx",
        "deliveries",
        ["ticket_id", "occasion", "person"],
        unique=True,
        postgresql_where=sa.text("state IN ('claimed', 'in_data', 'sent')"),
    )


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
