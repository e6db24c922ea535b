"""The board's tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import ESCALATIONS_TOPIC

metadata = new_metadata()
OFFSETS = Offsets.define(metadata)
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)
OUTBOX = Outbox.define(metadata, topic=ESCALATIONS_TOPIC, source="board")
"""For monthly reports, which the notifier mails."""

VERSIONS = Sequence("ticket_versions", metadata=metadata)

TICKETS = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("source", Text),
    Column("external_id", Text),
    Column("customer_id", Text),
    Column("ticket", Text, comment="JSON; null until a record that carries the ticket has arrived"),
    Column("opened", Boolean, nullable=False, server_default=text("false"), comment="`ticket` is that of the opening"),
    Column("historic", Boolean, nullable=False, server_default=text("false")),
    Column("severity", SmallInteger),
    Column("state", Text),
    Column("is_open", Boolean, nullable=False, server_default=text("false")),
    Column("assignee", Text),
    Column("facts", Integer, nullable=False, server_default=text("0"), comment="how many facts have arrived"),
    Column("last_fact", Integer, nullable=False, server_default=text("0"), comment="the highest fact number"),
    Column("ladder_event_id", Uuid, comment="the event about a ladder that arrived last"),
    Column("last_mail", Text, comment="JSON"),
    Column("clocks", Text, comment="JSON: the item of sla-timer's POST /v1/clocks; null until it was read"),
    Column("ladder", Text, comment="JSON: the ladder in the escalator's POST /v1/ladders"),
    Column("stale_at", DateTime(timezone=True), comment="real time since which clocks and ladder are outdated"),
    Column("refresh_at", DateTime(timezone=True), comment="real time of the next attempt to read clocks and ladder"),
    Column("refresh_failures", Integer, nullable=False, server_default=text("0")),
    Column(
        "version",
        BigInteger,
        nullable=False,
        server_default=VERSIONS.next_value(),
        comment="higher with every change",
    ),
    Index(None, "tenant", postgresql_where=text("is_open")),
    Index(None, "version"),
    Index(None, "refresh_at", postgresql_where=text("refresh_at IS NOT NULL")),
    comment="One row per ticket, locked before anything about it is written",
)
FACTS = Table(
    "facts",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fact", Text, nullable=False, comment="JSON"),
    comment="Every fact, as it was published",
)
EVENTS = Table(
    "events",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("ticket_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False, comment="JSON"),
    Index(None, "ticket_id"),
    comment="Every event of the deadlines and the escalations topic, as it was published",
)
DELIVERIES = Table(
    "deliveries",
    metadata,
    Column("delivery_id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("delivery", Text, nullable=False, comment="JSON: the latest event of the delivery"),
    Index(None, "ticket_id"),
    comment="The latest state of each delivery",
)

WEBHOOKS = Table(
    "webhook_deliveries",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("delivery_id", Uuid, nullable=False, unique=True, comment="the webhook-id"),
    Column("tenant", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("ticket_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event", Text, nullable=False, comment="`warned`, `breached` ..."),
    Column("at", DateTime(timezone=True), nullable=False, comment="business time, of the event"),
    Column("body", Text, nullable=False, comment="as it is sent, in every attempt"),
    Column("state", Text, nullable=False, comment="`waiting`, `delivered` or `failed`"),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="counts the claims and fences them"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="since it was queued or redelivered"),
    Column("is_attempted", Boolean, nullable=False, server_default=text("false")),
    Column("queued_at", DateTime(timezone=True), nullable=False, comment="real time, as all below"),
    Column("give_up_at", DateTime(timezone=True), nullable=False),
    Column("ready_at", DateTime(timezone=True), comment="next attempt, or end of the lease; null: final"),
    Column("finished_at", DateTime(timezone=True)),
    Column("status", SmallInteger, comment="of the last response"),
    Column("problem", Text, comment="why there was no response"),
    Index(
        "webhook_deliveries_ready_idx", "tenant", "endpoint", "ready_at", postgresql_where=text("ready_at IS NOT NULL")
    ),
    Index(
        "webhook_deliveries_first_idx",
        "tenant",
        "endpoint",
        "ticket_id",
        "seq",
        postgresql_where=text("ready_at IS NOT NULL AND NOT is_attempted"),
    ),
    Index("webhook_deliveries_tenant_idx", "tenant", "seq"),
    Index("webhook_deliveries_ticket_idx", "ticket_id", "seq"),
    Index("webhook_deliveries_finished_idx", "finished_at", postgresql_where=text("ready_at IS NULL")),
    comment="One event for one endpoint; `rebuild` keeps them",
)
WEBHOOK_ATTEMPTS = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", Uuid, ForeignKey("webhook_deliveries.delivery_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", DateTime(timezone=True), nullable=False, comment="real time"),
    Column("ended_at", DateTime(timezone=True), comment="null: in progress, or interrupted and repeated"),
    Column("status", SmallInteger),
    Column("problem", Text, comment="why there was no response"),
    Column("response", Text, comment="the beginning of its body"),
    comment="Every attempt to send a webhook",
)
WEBHOOK_ENDPOINTS = Table(
    "webhook_endpoints",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False, comment="business time: earlier events are not sent"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="in a row"),
    Column("failing_since", DateTime(timezone=True), comment="real time, as below"),
    Column("paused_until", DateTime(timezone=True)),
    Column("is_gone", Boolean, nullable=False, server_default=text("false"), comment="responded 410"),
    Column("url", Text, comment="a digest of the URL that the columns before are about"),
    comment="Every endpoint that webhooks.yaml ever had, and how it stands",
)
WEBHOOK_FLOORS = Table(
    "webhook_floors",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    comment="What was read before the last `rebuild`: records below these offsets make no webhooks",
)

REBUILDS = Table(
    "rebuilds",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False, comment="tickets have higher ones"),
    Column("rebuilt_at", DateTime(timezone=True), nullable=False, server_default=text("now()"), comment="real time"),
    comment="Each `rebuild`: what was read at a lower version may be of tickets that no longer exist",
)

REPORT_MONTHS = Table(
    "report_months",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("month", Text, primary_key=True, comment="`2026-05`"),
    Column("settled_at", DateTime(timezone=True), nullable=False, comment="business time"),
    comment="Months of which no report is left to mail; the first one ended before the board's first start",
)
MAILED_REPORTS = Table(
    "mailed_reports",
    metadata,
    Column("report_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("customer", Text, comment="null: all customers in one report"),
    Column("person", Text, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False, comment="business time"),
    UniqueConstraint("tenant", "month", "customer", "person", postgresql_nulls_not_distinct=True),
    comment="Every report that was published to be mailed, stored with its event; `rebuild` keeps them",
)
