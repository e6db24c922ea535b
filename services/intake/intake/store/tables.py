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
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import TICKETS_TOPIC

PUNCTUATION: Final = "[!-/:-@[-`{-~]+"
"""ASCII punctuation as a regular expression of both PostgreSQL and Python. It separates words.

Without it, PostgreSQL would read the hyphen of `SR-1042` as a minus, and an address as one word.
"""

_SEARCHED: Final = (
    "external_id",
    "(body ->> 'summary')",
    "\"left\"(body ->> 'affected_services', 10000)",
    "((body -> 'customer') ->> 'name')",
    "((body -> 'contact') ->> 'name')",
    "COALESCE(\"left\"(body ->> 'description', 1000), '')",
)
# In the form in which PostgreSQL returns it, so that a test can compare the schema with these tables.
_JOINED: Final = reduce(lambda text, part: f"(({text} || ' ') || {part})", _SEARCHED)[1:-1]
TICKET_WORDS = literal_column(
    f"to_tsvector('simple'::regconfig, regexp_replace({_JOINED}, '{PUNCTUATION}', ' ', 'g'))", TSVECTOR
)
"""The words that the text filter searches. Index and queries need the same expression.

Long fields are cut: an index entry holds at most 1 MB, and a ticket with more could not be stored.
"""

metadata = new_metadata()
OUTBOX = Outbox.define(metadata, topic=TICKETS_TOPIC, source="intake")
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)

TICKETS = Table(
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
    Column("impact", JSONB),
    Column("suggested_severity", SmallInteger),
    Column("fit", Boolean),
    Column("is_disputed", Boolean, nullable=False),
    Column("assignee", JSONB),
    # One for each filter of the list that may match few of many tickets; filters combined need no index of their own.
    Index("tickets_tenant_position_idx", "tenant", "position", unique=True),
    Index("tickets_open_idx", "tenant", "position", postgresql_where=literal_column("is_open")),
    Index("tickets_severity_idx", "tenant", "severity", "position"),
    # A hash, because a customer id or a source may be too long for an index row.
    Index("tickets_customer_idx", "tenant", func.md5(literal_column("customer_id")), "position"),
    Index("tickets_source_idx", "tenant", func.md5(literal_column("source")), "position"),
    Index("tickets_external_id_idx", "tenant", func.md5(literal_column("external_id"))),
    Index("tickets_opened_idx", "tenant", "opened_at"),
    Index("tickets_disputed_idx", "tenant", "position", postgresql_where=literal_column("is_disputed")),
    Index("tickets_flags_idx", "flags", postgresql_using="gin"),
    Index("tickets_words_idx", TICKET_WORDS, postgresql_using="gin"),
    postgresql_with={"fillfactor": 85},
)

FACTS = Table(
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
    Column("impact", JSONB),
    Column("assignee", JSONB),
    Column("digest", LargeBinary, nullable=False),
    UniqueConstraint("ticket_id", "number"),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    metadata,
    Column("holder", Text, primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("event_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
)

INBOUND_MAILS = Table(
    "inbound_mails",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("message_digest", LargeBinary, primary_key=True),  # of the Message-ID, which may have any length
    # Different mails may have the same Message-ID (docs/rules.md#6-26).
    Column("content_digest", LargeBinary, primary_key=True),
    Column("author", Text, primary_key=True),  # empty if unknown
    Column("whole_digest", LargeBinary, nullable=False),
    Column("shortened_digest", LargeBinary, nullable=False),
    Column("ticket_id", Uuid, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)

AWAITED_MAILS = Table(
    "awaited_mails",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("message_digest", LargeBinary, primary_key=True),
    Column("ticket_id", Uuid, nullable=False),
)

WEBHOOK_DELIVERIES = Table(
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
    Index("webhook_deliveries_integration_idx", "tenant", "provider", "stored_at"),
)

TICKET_UPDATES = Table(
    "ticket_updates",
    metadata,
    Column("delivery_id", BigInteger, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("ticket_id", Uuid, nullable=False, index=True),
    Column("content", JSONB, nullable=False),
    Column("opened_ticket", Boolean, nullable=False),
)

INTEGRATIONS = Table(
    "integrations",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
