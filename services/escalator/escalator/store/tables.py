"""The escalator's tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
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
OUTBOX = Outbox.define(metadata, topic=ESCALATIONS_TOPIC, source="escalator")

TICKETS = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("customer_name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Index(None, "tenant", "customer_id"),
    comment="One row per ticket, locked before anything is decided about it",
)

HANDLED = Table(
    "handled",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    comment="Deadline events already decided on; a repeated event changes nothing",
)

LADDERS = Table(
    "ladders",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("kept", Boolean, nullable=False),
    Column("tier", Integer, nullable=False, comment="number of the last tier notified, 0 for none"),
    Column("tiers", JSONB, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("next_at", DateTime(timezone=True)),
    Column("exhausted", Text),
    Column("exhausted_at", DateTime(timezone=True)),
    Column("skipped", JSONB, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("end_reason", Text),
    Column("severity", SmallInteger, comment="the severity that governed at the last event"),
    Column("due_at", DateTime(timezone=True), comment="the resolution deadline as of the last step"),
    Column("acknowledgements", JSONB, nullable=False),
    Column("live", Boolean, nullable=False, comment="false while every event is historic"),
    Index(None, "tier", postgresql_where=text("live AND ended_at IS NULL")),
)

STEPS = Table(
    "steps",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("tier", JSONB, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("skipped", JSONB, nullable=False),
    Column("notification", Uuid, comment="null for a historic step, which notified nobody"),
    Column("voided", Boolean, nullable=False),
    ForeignKeyConstraint(["ticket_id", "cycle", "run"], ["ladders.ticket_id", "ladders.cycle", "ladders.run"]),
)

NOTIFICATIONS = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("source", Uuid, nullable=False, comment="the deadline event it was decided for"),
    Column("cycle", Integer, nullable=False),
    Column("run", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("clock", Text),
    Column("open", Boolean, nullable=False, comment="neither withdrawn nor stood down"),
    Column("stood_down", Boolean, nullable=False),
    Index(None, "ticket_id"),
)

DECISIONS = Table(
    "decisions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("type", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index(None, "decided_at"),
    comment="Every event published, for `republish`",
)
