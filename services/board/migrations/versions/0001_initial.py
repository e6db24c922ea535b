"""The board's tables."""

import sqlalchemy as sa
from alembic import op
from tocsin.runtime.database.migrations import create_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
NO = sa.text("false")
ZERO = sa.text("0")
VERSIONS = sa.Sequence("ticket_versions")


def upgrade() -> None:
    create_runtime_tables(offsets=True)
    op.execute(sa.schema.CreateSequence(VERSIONS))
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("customer_id", sa.Text),
        sa.Column("ticket", sa.Text, comment="JSON; null until a record that carries the ticket has arrived"),
        sa.Column("opened", sa.Boolean, nullable=False, server_default=NO, comment="`ticket` is that of the opening"),
        sa.Column("historic", sa.Boolean, nullable=False, server_default=NO),
        sa.Column("severity", sa.SmallInteger),
        sa.Column("state", sa.Text),
        sa.Column("is_open", sa.Boolean, nullable=False, server_default=NO),
        sa.Column("assignee", sa.Text),
        sa.Column("facts", sa.Integer, nullable=False, server_default=ZERO, comment="how many facts have arrived"),
        sa.Column("last_fact", sa.Integer, nullable=False, server_default=ZERO, comment="the highest fact number"),
        sa.Column("ladder_event_id", sa.Uuid, comment="the event about a ladder that arrived last"),
        sa.Column("last_mail", sa.Text, comment="JSON"),
        sa.Column("clocks", sa.Text, comment="JSON: the item of sla-timer's POST /v1/clocks; null until it was read"),
        sa.Column("ladder", sa.Text, comment="JSON: the ladder in the escalator's POST /v1/ladders"),
        sa.Column("stale_at", INSTANT, comment="real time since which clocks and ladder are outdated"),
        sa.Column("refresh_at", INSTANT, comment="real time of the next attempt to read clocks and ladder"),
        sa.Column("refresh_failures", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column(
            "version",
            sa.BigInteger,
            nullable=False,
            server_default=VERSIONS.next_value(),
            comment="higher with every change",
        ),
        comment="One row per ticket, locked before anything about it is written",
    )
    op.create_index("tickets_tenant_idx", "tickets", ["tenant"], postgresql_where=sa.text("is_open"))
    op.create_index("tickets_version_idx", "tickets", ["version"])
    op.create_index(
        "tickets_refresh_at_idx", "tickets", ["refresh_at"], postgresql_where=sa.text("refresh_at IS NOT NULL")
    )
    op.create_table(
        "facts",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fact", sa.Text, nullable=False, comment="JSON"),
        comment="Every fact, as it was published",
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("event", sa.Text, nullable=False, comment="JSON"),
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
        sa.Column("delivery", sa.Text, nullable=False, comment="JSON: the latest event of the delivery"),
        comment="The latest state of each delivery",
    )
    op.create_index("deliveries_ticket_id_idx", "deliveries", ["ticket_id"])
    _create_webhook_tables()


def _create_webhook_tables() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("delivery_id", sa.Uuid, nullable=False, comment="the webhook-id"),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("event", sa.Text, nullable=False, comment="`warned`, `breached` ..."),
        sa.Column("at", INSTANT, nullable=False, comment="business time, of the event"),
        sa.Column("body", sa.Text, nullable=False, comment="as it is sent, in every attempt"),
        sa.Column("state", sa.Text, nullable=False, comment="`waiting`, `delivered` or `failed`"),
        sa.Column(
            "attempts",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="counts the claims and fences them",
        ),
        sa.Column(
            "failures",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="since it was queued or redelivered",
        ),
        sa.Column("is_attempted", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("queued_at", INSTANT, nullable=False, comment="real time, as all below"),
        sa.Column("give_up_at", INSTANT, nullable=False),
        sa.Column("ready_at", INSTANT, comment="next attempt, or end of the lease; null: final"),
        sa.Column("finished_at", INSTANT),
        sa.Column("status", sa.SmallInteger, comment="of the last response"),
        sa.Column("problem", sa.Text, comment="why there was no response"),
        sa.UniqueConstraint("delivery_id", name="webhook_deliveries_delivery_id_key"),
        comment="One event for one endpoint; `rebuild` keeps them",
    )
    op.create_index(
        "webhook_deliveries_ready_idx",
        "webhook_deliveries",
        ["tenant", "endpoint", "ready_at"],
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    )
    op.create_index(
        "webhook_deliveries_first_idx",
        "webhook_deliveries",
        ["tenant", "endpoint", "ticket_id", "seq"],
        postgresql_where=sa.text("ready_at IS NOT NULL AND NOT is_attempted"),
    )
    op.create_index("webhook_deliveries_tenant_idx", "webhook_deliveries", ["tenant", "seq"])
    op.create_index("webhook_deliveries_ticket_idx", "webhook_deliveries", ["ticket_id", "seq"])
    op.create_index(
        "webhook_deliveries_finished_idx",
        "webhook_deliveries",
        ["finished_at"],
        postgresql_where=sa.text("ready_at IS NULL"),
    )
    op.create_table(
        "webhook_attempts",
        sa.Column(
            "delivery_id",
            sa.Uuid,
            sa.ForeignKey(
                "webhook_deliveries.delivery_id", name="webhook_attempts_delivery_id_fkey", ondelete="CASCADE"
            ),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_at", INSTANT, nullable=False, comment="real time"),
        sa.Column("ended_at", INSTANT, comment="null: in progress, or interrupted and repeated"),
        sa.Column("status", sa.SmallInteger),
        sa.Column("problem", sa.Text, comment="why there was no response"),
        sa.Column("response", sa.Text, comment="the beginning of its body"),
        comment="Every attempt to send a webhook",
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column("since", INSTANT, nullable=False, comment="business time: earlier events are not sent"),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0"), comment="in a row"),
        sa.Column("failing_since", INSTANT, comment="real time, as below"),
        sa.Column("paused_until", INSTANT),
        sa.Column("is_gone", sa.Boolean, nullable=False, server_default=sa.text("false"), comment="responded 410"),
        sa.Column("url", sa.Text, comment="a digest of the URL that the columns before are about"),
        comment="Every endpoint that webhooks.yaml ever had, and how it stands",
    )
    op.create_table(
        "webhook_floors",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        comment="What was read before the last `rebuild`: records below these offsets make no webhooks",
    )
    op.create_table(
        "rebuilds",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False, comment="tickets have higher ones"),
        sa.Column("rebuilt_at", INSTANT, nullable=False, server_default=sa.text("now()"), comment="real time"),
        comment="Each `rebuild`: what was read at a lower version may be of tickets that no longer exist",
    )
    _create_report_mail()


def _create_report_mail() -> None:
    op.create_table(
        "report_months",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("month", sa.Text, primary_key=True, comment="`2026-05`"),
        sa.Column("settled_at", INSTANT, nullable=False, comment="business time"),
        comment=("Months of which no report is left to mail; the first one ended before the board's first start"),
    )
    op.create_table(
        "mailed_reports",
        sa.Column("report_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("month", sa.Text, nullable=False),
        sa.Column("customer", sa.Text, comment="null: all customers in one report"),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("published_at", INSTANT, nullable=False, comment="business time"),
        sa.UniqueConstraint("tenant", "month", "customer", "person", postgresql_nulls_not_distinct=True),
        comment="Every report that was published to be mailed, stored with its event; `rebuild` keeps them",
    )
