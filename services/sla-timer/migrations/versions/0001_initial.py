"""The timer's tables."""

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
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("ticket", sa.LargeBinary, nullable=False, comment="JSON of the ticket as events carry it"),
        sa.Column(
            "policy_versions",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="How many versions of the policy were known at the last evaluation",
        ),
        sa.Column(
            "policies_in_force",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="How many versions of the policy were in force by the instant of the last evaluation",
        ),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("responded_at", INSTANT),
        sa.Column("closed_at", INSTANT),
        sa.Column("historic_through", INSTANT),
        comment="One row per ticket, locked before anything is decided about it",
        postgresql_with={"fillfactor": 85},
    )
    op.create_index("tickets_channel_idx", "tickets", ["channel", "opened_at"])
    op.create_index(
        "tickets_policy_versions_idx", "tickets", ["policy_versions"], postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_table(
        "facts",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fact", sa.LargeBinary, nullable=False, comment="JSON of the fact"),
        sa.Column("received_at", INSTANT, nullable=False),
    )
    op.create_table(
        "agenda",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("next_at", INSTANT, nullable=False),
        sa.Column(
            "due",
            sa.LargeBinary,
            comment="JSON of the events of `next_at`, rendered; null: they are in `later`",
        ),
        sa.Column("later", sa.LargeBinary, nullable=False, comment="JSON of the other events, compact, in order"),
        sa.Column("later_at", INSTANT),
        comment="What follows for each ticket if no further fact arrives",
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("agenda_due_idx", "agenda", ["partition", "next_at"], postgresql_where=sa.text("due IS NOT NULL"))
    op.create_index(
        "agenda_unrendered_idx", "agenda", ["partition", "next_at"], postgresql_where=sa.text("due IS NULL")
    )
    op.create_table(
        "published_events",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("cycle", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.Text, primary_key=True, comment="a clock, `ladder` or `request`"),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("voided", sa.Boolean, primary_key=True, comment="this event voids the one with the same key"),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        comment="Every event queued for publishing, under its natural key",
    )
    op.create_index("published_events_position_idx", "published_events", ["position"], unique=True)
    op.create_index("published_events_published_at_idx", "published_events", ["published_at"], postgresql_using="brin")
    op.create_table(
        "clocks",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("cycle", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("clock", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False, comment="the severity that governed the outcome"),
        sa.Column("ticket_severity", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("provisional", sa.Boolean, nullable=False),
        sa.Column("warned", sa.Boolean, nullable=False),
        sa.Column(
            "historic",
            sa.Boolean,
            nullable=False,
            comment="the outcome was known when the ticket was posted as history",
        ),
        sa.Column("due_at", INSTANT),
        sa.Column("outcome_at", INSTANT),
        comment="Every clock of every cycle, for reports and gauges",
    )
    op.create_index(
        "clocks_outcome_at_idx", "clocks", ["tenant", "outcome_at"], postgresql_where=sa.text("outcome_at IS NOT NULL")
    )
    op.create_index(
        "clocks_live_outcome_at_idx",
        "clocks",
        ["outcome_at"],
        postgresql_include=["clock", "severity", "state"],
        postgresql_where=sa.text("NOT historic AND outcome_at IS NOT NULL"),
    )
    op.create_index(
        "clocks_open_idx",
        "clocks",
        ["clock", "ticket_severity", "state"],
        postgresql_include=["partition", "provisional", "warned", "due_at"],
        postgresql_where=sa.text("open"),
    )
    op.create_table(
        "policies",
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("in_force_from", INSTANT, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
        comment="Every version of the policy; append-only",
    )
