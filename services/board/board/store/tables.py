"""The board's tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Sequence,
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
OUTBOX = Outbox.define(metadata, topic=ESCALATIONS_TOPIC, source="board")
"""For monthly reports, which the notifier mails."""

VERSIONS = Sequence("ticket_versions", metadata=metadata)

TICKETS = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("ticket", JSONB, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("assignee", Text),
    Column("facts", Integer, nullable=False, comment="how many facts have arrived"),
    Column("historic", Boolean, nullable=False),
    Column("clocks", JSONB, comment="the item of sla-timer's POST /v1/clocks; null until it was read"),
    Column("ladder", JSONB, comment="the ladder of the escalator's POST /v1/ladders"),
    Column("last_mail", JSONB),
    Column("deadline_event_id", Uuid, comment="the deadline event that arrived last"),
    Column("stale_at", DateTime(timezone=True), comment="real time from which clocks and ladder must be read again"),
    Column("version", BigInteger, nullable=False, comment="from ticket_versions; higher with every change"),
    Index(None, "tenant", postgresql_where=text("is_open")),
    Index(None, "version"),
    Index(None, "stale_at", postgresql_where=text("stale_at IS NOT NULL")),
    comment="One row per ticket",
)
FACTS = Table(
    "facts",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fact", JSONB, nullable=False),
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
    Column("event", JSONB, nullable=False),
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
    Column("delivery", JSONB, nullable=False, comment="the latest event of the delivery"),
    Index(None, "ticket_id"),
    comment="The latest state of each delivery",
)
