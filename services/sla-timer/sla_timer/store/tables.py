"""The timer's tables."""

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
from tocsin.runtime.kafka.client import DEADLINES

metadata = new_metadata()
OFFSETS = Offsets.define(metadata)
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)
OUTBOX = Outbox.define(metadata, topic=DEADLINES, source="sla-timer")


def _instant(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


TICKETS = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("customer", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("ticket", LargeBinary, nullable=False),
    # How many versions of the policy were known when the ticket was last judged.
    Column("policies", Integer, nullable=False, server_default=text("0")),
    _instant("opened_at"),
    _instant("responded_at", nullable=True),
    _instant("closed_at", nullable=True),
    _instant("historic_through", nullable=True),
    Index("tickets_channel_idx", "tenant", "channel", "opened_at"),
    Index("tickets_policies_idx", "policies", postgresql_where=text("closed_at IS NULL")),
)
FACTS = Table(
    "facts",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fact", LargeBinary, nullable=False),
    _instant("received_at"),
)
AGENDA = Table(
    "agenda",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("partition", SmallInteger, nullable=False),
    _instant("next_at"),
    Column("items", LargeBinary, nullable=False),
    Index("agenda_due_idx", "partition", "next_at"),
    postgresql_with={"fillfactor": 70},
)
TOLD = Table(
    "told",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    _instant("at"),
    # Business time, like all that is stored here; `republish` asks for it.
    _instant("told_at"),
    Column("type", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Index("told_id_idx", "id", unique=True),
    Index("told_told_at_idx", "told_at"),
)
CLOCKS = Table(
    "clocks",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("clock", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    _instant("outcome_at", nullable=True),
    Index("clocks_outcome_at_idx", "tenant", "outcome_at"),
    Index("clocks_open_idx", "clock", "severity", "state", postgresql_where=text("open")),
)
POLICIES = Table(
    "policies",
    metadata,
    Column("version", Text, primary_key=True),
    _instant("in_force_from"),
    Column("policy", Text, nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
