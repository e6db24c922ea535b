"""Intake's tables."""

from functools import reduce
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from tocsin.runtime.database.dead_letters import dead_letters_table
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.outbox import Outbox, lease_table, outbox_table
from tocsin.runtime.http.key_usage import key_uses_table
from tocsin.runtime.kafka.client import TICKETS

PUNCTUATION: Final = "[!-/:-@[-`{-~]+"
"""ASCII's punctuation, as PostgreSQL and Python both write it: what stands between words.

PostgreSQL would otherwise take the hyphen of `SR-1042` for a minus, and an address for one word.
"""

_SHOWN: Final = (
    "external_id",
    "(body ->> 'summary')",
    "\"left\"(body ->> 'affected_services', 10000)",
    "((body -> 'customer') ->> 'name')",
    "((body -> 'contact') ->> 'name')",
    "COALESCE(\"left\"(body ->> 'description', 1000), '')",
)
# Written as PostgreSQL shows it, so that the schema can be compared with the tables.
_JOINED: Final = reduce(lambda text, part: f"(({text} || ' ') || {part})", _SHOWN)[1:-1]
words = literal_column(
    f"to_tsvector('simple'::regconfig, regexp_replace({_JOINED}, '{PUNCTUATION}', ' ', 'g'))", TSVECTOR
)
"""The words by which a ticket is found, in the index and in the queries alike: PostgreSQL compares the expressions.

All of a ticket could be more than an index entry may hold (1 MB), and then it could not be stored.
"""

metadata = new_metadata()
outbox = Outbox(outbox_table(metadata), lease_table(metadata), TICKETS, "intake")
dead_letters = dead_letters_table(metadata)
key_uses = key_uses_table(metadata)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("initial_severity", SmallInteger, nullable=False),
    Column("suggested_severity", SmallInteger),
    Column("fit", Boolean),
    Column("routed_to", Text, nullable=False),
    Column("flags", ARRAY(Text, as_tuple=True), nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("first_facts", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    # One for each filter of the list that may match few among many; more than one of them leave little to sift.
    Index("tickets_tenant_position_idx", "tenant", "position", unique=True),
    Index("tickets_open_idx", "tenant", "position", postgresql_where=literal_column("is_open")),
    Index("tickets_severity_idx", "tenant", "severity", "position"),
    # A customer's id or a source may be too long for an index row, its hash never is.
    Index("tickets_customer_idx", "tenant", func.md5(literal_column("customer_id")), "position"),
    Index("tickets_source_idx", "tenant", func.md5(literal_column("source")), "position"),
    Index("tickets_opened_idx", "tenant", "opened_at"),
    Index("tickets_words_idx", words, postgresql_using="gin"),
    postgresql_with={"fillfactor": 85},
)

facts = Table(
    "facts",
    metadata,
    Column("fact_id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text),
    Column("severity", SmallInteger),
    Column("reason", Text),
    Column("resolution_kind", Text),
    Column("digest", LargeBinary, nullable=False),
    UniqueConstraint("ticket_id", "number"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("holder", Text, primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("event_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
)

inbound_mails = Table(
    "inbound_mails",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("message_digest", LargeBinary, primary_key=True),  # of the Message-ID, which may have any length
    Column("ticket_id", Uuid, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)

awaited_mails = Table(
    "awaited_mails",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("message_digest", LargeBinary, primary_key=True),
    Column("ticket_id", Uuid, nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),  # the digest of the delivery's identity, which may have any length
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False, index=True),  # real time, as is next_attempt_at
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", DateTime(timezone=True), index=True),
    UniqueConstraint("tenant", "provider", "key"),
    Index("webhook_deliveries_unmapped_idx", "tenant", "id", postgresql_where=literal_column("state = 'unmapped'")),
)

ticket_updates = Table(
    "ticket_updates",
    metadata,
    Column("delivery_id", BigInteger, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("ticket_id", Uuid, nullable=False, index=True),
    Column("content", JSONB, nullable=False),
    Column("opened_ticket", Boolean, nullable=False),
)

integrations = Table(
    "integrations",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
