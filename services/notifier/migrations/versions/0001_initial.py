"""The notifier's tables."""

import sqlalchemy as sa
from alembic import op
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
        comment="One row a ticket, locked while anything is decided about its deliveries",
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid, primary_key=True, comment="the event id"),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("type", sa.Text, nullable=False, comment="`notify`, `stand_down` or `exhausted`"),
        sa.Column("event", sa.LargeBinary, nullable=False),
        comment="Every notify, stand_down and exhausted received; a repeated event changes nothing",
    )
    op.create_table(
        "withdrawals",
        sa.Column("notification_id", sa.Uuid, primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        comment="Notifications that are no longer needed; some may not have arrived yet",
    )
    _create_deliveries()
    _create_journal()
    op.create_table(
        "report_counts",
        sa.Column("result", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        comment="How many reports of mail servers had each result, through the API and the command",
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Uuid, nullable=False, unique=True),
        sa.Column("notification_id", sa.Uuid, sa.ForeignKey("notifications.id"), nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer),
        sa.Column("step", sa.Integer),
        sa.Column("tier", sa.Integer),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column(
            "occasion", sa.Text, nullable=False, comment="what the mail is about; a person gets one mail per occasion"
        ),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("role_title", sa.Text, nullable=False),
        sa.Column("scheduled_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ready_at", INSTANT, comment="real time: next attempt, or end of the lease; null: final"),
        sa.Column("published_at", INSTANT, nullable=False, comment="real time, of its notification"),
        sa.Column("created_at", INSTANT, nullable=False, comment="real time"),
        sa.Column("queued_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT),
        sa.Column("token", sa.BigInteger, nullable=False, comment="counts the claims and fences them"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("ambiguous", sa.Boolean, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("person", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("rule", sa.Text),
        sa.Column("message_id", sa.Text),
        sa.Column("reply", sa.Text),
        sa.Column(
            "redelivery_number",
            sa.Integer,
            nullable=False,
            comment="0: requested by an event; else which repeat (1, 2, ...)",
        ),
        sa.Column("redelivery_of", sa.Uuid, sa.ForeignKey("deliveries.id")),
        sa.Column("redelivered_by", sa.Text),
        sa.Column(
            "fallback_number",
            sa.Integer,
            nullable=False,
            comment="0: the first address; else which further one (1, 2, ...)",
        ),
        sa.Column("fallback_of", sa.Uuid, sa.ForeignKey("deliveries.id")),
        sa.Column(
            "scheduled_person", sa.Text, comment="who held the role at `scheduled_at`, if `person` is somebody else"
        ),
        sa.Column("digest_id", sa.Uuid, comment="the digest of the last attempt; null: a single mail"),
        sa.Column("sent_real_at", INSTANT, comment="real time: when a server accepted it, or may have"),
        sa.UniqueConstraint("notification_id", "person", "email", "redelivery_number", "fallback_number"),
        comment="One mail to one person at one address",
    )
    op.create_index("deliveries_ticket_idx", "deliveries", ["ticket_id", "seq"])
    op.create_index("deliveries_tenant_idx", "deliveries", ["tenant", "seq"])
    op.create_index("deliveries_message_id_idx", "deliveries", ["message_id"])
    op.create_index("deliveries_queued_at_idx", "deliveries", ["queued_at"], postgresql_using="brin")
    op.create_index(
        "deliveries_open_idx",
        "deliveries",
        ["severity", sa.text("coalesce(tier, 0) DESC"), "seq"],
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    )
    op.create_index(
        "deliveries_digest_idx", "deliveries", ["digest_id"], postgresql_where=sa.text("digest_id IS NOT NULL")
    )
    op.create_index(
        "deliveries_single_idx",
        "deliveries",
        [sa.text("lower(email)"), "sent_real_at"],
        postgresql_where=sa.text("sent_real_at IS NOT NULL AND digest_id IS NULL AND severity >= 3"),
    )
    op.create_index(
        "deliveries_once_idx",
        "deliveries",
        ["ticket_id", "occasion", "person"],
        unique=True,
        postgresql_where=sa.text("state IN ('claimed', 'in_data', 'sent')"),
    )


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("delivery_id", sa.Uuid, sa.ForeignKey("deliveries.id"), nullable=False),
        sa.Column("entry", sa.Text, nullable=False, comment="the state reached, `ambiguous` or `reported`"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("at", INSTANT, nullable=False, comment="business time"),
        sa.Column("real_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("reply", sa.Text),
        sa.Column("email", sa.Text),
        sa.Column("event", sa.LargeBinary, comment="the delivery event that was published, if any"),
        comment="Every state of every delivery, with the server's reply; append-only",
    )
    op.create_index("journal_delivery_id_idx", "journal", ["delivery_id"])
    op.create_index(
        "journal_undelivered_idx",
        "journal",
        ["real_at"],
        postgresql_where=sa.text("entry IN ('bounced', 'refused', 'undeliverable')"),
    )
