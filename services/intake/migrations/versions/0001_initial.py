"""Intake's tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from tocsin.runtime.database.migrations import create_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
WORDS = """to_tsvector('simple'::regconfig, regexp_replace(
    external_id || ' ' || (body ->> 'summary') || ' ' || "left"(body ->> 'affected_services', 10000)
    || ' ' || ((body -> 'customer') ->> 'name') || ' ' || ((body -> 'contact') ->> 'name')
    || ' ' || coalesce("left"(body ->> 'description', 1000), ''),
    '[!-/:-@[-`{-~]+', ' ', 'g'))"""


def upgrade() -> None:
    _tickets()
    _mails()
    _webhooks()
    create_runtime_tables(offsets=False)


def _tickets() -> None:
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("initial_severity", sa.SmallInteger, nullable=False),
        sa.Column("routed_to", sa.Text, nullable=False),
        sa.Column("flags", ARRAY(sa.Text), nullable=False),
        sa.Column("imported", sa.Boolean, nullable=False),
        sa.Column("history", sa.Boolean, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("first_facts", sa.Integer, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("impact", JSONB),
        sa.Column("suggested_severity", sa.SmallInteger),
        sa.Column("fit", sa.Boolean),
        sa.Column("is_disputed", sa.Boolean, nullable=False),
        sa.Column("assignee", JSONB),
        postgresql_with={"fillfactor": 85},
    )
    op.create_index("tickets_tenant_position_idx", "tickets", ["tenant", "position"], unique=True)
    op.create_index("tickets_open_idx", "tickets", ["tenant", "position"], postgresql_where=sa.text("is_open"))
    op.create_index("tickets_severity_idx", "tickets", ["tenant", "severity", "position"])
    op.create_index("tickets_customer_idx", "tickets", ["tenant", sa.text("md5(customer_id)"), "position"])
    op.create_index("tickets_source_idx", "tickets", ["tenant", sa.text("md5(source)"), "position"])
    op.create_index("tickets_external_id_idx", "tickets", ["tenant", sa.text("md5(external_id)")])
    op.create_index("tickets_opened_idx", "tickets", ["tenant", "opened_at"])
    op.create_index("tickets_disputed_idx", "tickets", ["tenant", "position"], postgresql_where=sa.text("is_disputed"))
    op.create_index("tickets_flags_idx", "tickets", ["flags"], postgresql_using="gin")
    op.create_index("tickets_words_idx", "tickets", [sa.text(WORDS)], postgresql_using="gin")
    op.create_table(
        "facts",
        sa.Column("fact_id", sa.Uuid, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("tickets.ticket_id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("severity", sa.SmallInteger),
        sa.Column("reason", sa.Text),
        sa.Column("resolution_kind", sa.Text),
        sa.Column("impact", JSONB),
        sa.Column("assignee", JSONB),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("ticket_id", "number"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("key_digest", sa.LargeBinary, primary_key=True),
        sa.Column("request_digest", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.Text),
        sa.Column("created_at", INSTANT, nullable=False),
    )
    op.create_index("idempotency_keys_created_at_idx", "idempotency_keys", ["created_at"])


def _mails() -> None:
    op.create_table(
        "inbound_mails",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("message_digest", sa.LargeBinary, primary_key=True),
        sa.Column("content_digest", sa.LargeBinary, primary_key=True),
        sa.Column("author", sa.Text, primary_key=True),
        sa.Column("whole_digest", sa.LargeBinary, nullable=False),
        sa.Column("shortened_digest", sa.LargeBinary, nullable=False),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
    )
    op.create_table(
        "awaited_mails",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("message_digest", sa.LargeBinary, primary_key=True),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
    )


def _webhooks() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("stored_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", INSTANT),
        sa.UniqueConstraint("tenant", "provider", "key"),
    )
    op.create_index("webhook_deliveries_next_attempt_at_idx", "webhook_deliveries", ["next_attempt_at"])
    op.create_index("webhook_deliveries_stored_at_idx", "webhook_deliveries", ["stored_at"])
    op.create_index("webhook_deliveries_integration_idx", "webhook_deliveries", ["tenant", "provider", "stored_at"])
    op.create_index(
        "webhook_deliveries_unmapped_idx",
        "webhook_deliveries",
        ["tenant", "id"],
        postgresql_where=sa.text("state = 'unmapped'"),
    )
    op.create_table(
        "ticket_updates",
        sa.Column("delivery_id", sa.BigInteger, sa.ForeignKey("webhook_deliveries.id", ondelete="CASCADE")),
        sa.Column("position", sa.SmallInteger),
        sa.Column("ticket_id", sa.Uuid, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("opened_ticket", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", "position"),
    )
    op.create_index("ticket_updates_ticket_id_idx", "ticket_updates", ["ticket_id"])
    op.create_table(
        "integrations",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("created_at", INSTANT, nullable=False),
    )
