"""The timer's tables. Instants are in business time, except `policies.stored_at`."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import DEADLINES_TOPIC

metadata = new_metadata()
OFFSETS = Offsets.define(metadata)
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)
OUTBOX = Outbox.define(metadata, topic=DEADLINES_TOPIC, source="sla-timer")


def _instant(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


TICKETS = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("ticket", LargeBinary, nullable=False, comment="JSON of the ticket as events carry it"),
    Column(
        "policy_versions",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="How many versions of the policy were known at the last evaluation",
    ),
    Column(
        "policies_in_force",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="How many versions of the policy were in force by the instant of the last evaluation",
    ),
    _instant("opened_at"),
    _instant("responded_at", nullable=True),
    _instant("closed_at", nullable=True),
    _instant("historic_through", nullable=True),
    Index("tickets_channel_idx", "channel", "opened_at"),
    Index("tickets_policy_versions_idx", "policy_versions", postgresql_where=text("closed_at IS NULL")),
    comment="One row per ticket, locked before anything is decided about it",
    postgresql_with={"fillfactor": 85},
)
FACTS = Table(
    "facts",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fact", LargeBinary, nullable=False, comment="JSON of the fact"),
    _instant("received_at"),
)
AGENDA = Table(
    "agenda",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("partition", SmallInteger, nullable=False),
    _instant("next_at"),
    Column(
        "due",
        LargeBinary,
        comment="JSON of the events of `next_at`, rendered; null: they are in `later`",
    ),
    Column("later", LargeBinary, nullable=False, comment="JSON of the other events, compact, in order"),
    _instant("later_at", nullable=True),
    Index("agenda_due_idx", "partition", "next_at", postgresql_where=text("due IS NOT NULL")),
    Index("agenda_unrendered_idx", "partition", "next_at", postgresql_where=text("due IS NULL")),
    comment="What follows for each ticket if no further fact arrives",
    postgresql_with={"fillfactor": 70},
)
PUBLISHED_EVENTS = Table(
    "published_events",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("subject", Text, primary_key=True, comment="a clock, `ladder` or `request`"),
    Column("kind", Text, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("voided", Boolean, primary_key=True, comment="this event voids the one with the same key"),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    _instant("at"),
    _instant("published_at"),
    Column("type", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Index("published_events_position_idx", "position", unique=True),
    Index("published_events_published_at_idx", "published_at", postgresql_using="brin"),  # rows are stored in its order
    comment="Every event queued for publishing, under its natural key",
)
CLOCKS = Table(
    "clocks",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("clock", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("severity", SmallInteger, nullable=False, comment="the severity that governed the outcome"),
    Column("ticket_severity", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("warned", Boolean, nullable=False),
    Column("historic", Boolean, nullable=False, comment="the outcome was known when the ticket was posted as history"),
    _instant("due_at", nullable=True),
    _instant("outcome_at", nullable=True),
    Index("clocks_outcome_at_idx", "tenant", "outcome_at", postgresql_where=text("outcome_at IS NOT NULL")),
    Index(
        "clocks_live_outcome_at_idx",
        "outcome_at",
        postgresql_include=["clock", "severity", "state"],
        postgresql_where=text("NOT historic AND outcome_at IS NOT NULL"),
    ),
    Index(
        "clocks_open_idx",
        "clock",
        "ticket_severity",
        "state",
        postgresql_include=["partition", "provisional", "warned", "due_at"],
        postgresql_where=text("open"),
    ),
    comment="Every clock of every cycle, for reports and gauges",
)
POLICIES = Table(
    "policies",
    metadata,
    Column("version", Text, primary_key=True),
    _instant("in_force_from"),
    Column("policy", Text, nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    comment="Every version of the policy; append-only",
)
