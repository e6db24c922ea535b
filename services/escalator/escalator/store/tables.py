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
    Table,
    Text,
    Uuid,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import ESCALATIONS

metadata = new_metadata()

offsets = Offsets.define(metadata)
dead_letters = DeadLetters.define(metadata)
key_uses = KeyUses.define(metadata)
outbox = Outbox.define(metadata, topic=ESCALATIONS, source="escalator")

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Index(None, "tenant", "customer_id"),
    comment="One row a ticket, locked while anything is decided about it",
)

handled = Table(
    "handled",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    comment="The deadlines events that were decided on: the same one again changes nothing",
)

ladders = Table(
    "ladders",
    metadata,
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("kept", Boolean, nullable=False),
    Column("tier", Integer, nullable=False, comment="the number last told, 0 for none"),
    Column("tiers", JSONB, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("next_at", DateTime(timezone=True)),
    Column("exhausted", Text),
    Column("skipped", JSONB, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("end_reason", Text),
)

steps = Table(
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
    Column("notification", Uuid, comment="null: historic, nobody was addressed"),
    Column("voided", Boolean, nullable=False),
    ForeignKeyConstraint(["ticket_id", "cycle", "run"], ["ladders.ticket_id", "ladders.cycle", "ladders.run"]),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("source", Uuid, nullable=False, comment="the deadlines event it was decided for"),
    Column("cycle", Integer, nullable=False),
    Column("run", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("clock", Text),
    Column("open", Boolean, nullable=False, comment="neither withdrawn nor stood down"),
    Column("stood_down", Boolean, nullable=False, server_default=false()),
    Index(None, "ticket_id"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("type", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index(None, "decided_at"),
    comment="What was published, to be published again by `republish`",
)
