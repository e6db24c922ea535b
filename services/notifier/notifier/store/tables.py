"""The notifier's tables."""

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
    text,
)
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import NOTIFICATIONS

metadata = new_metadata()

OFFSETS = Offsets.define(metadata)
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)
OUTBOX = Outbox.define(metadata, topic=NOTIFICATIONS, source="notifier")

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    comment="One row a ticket, locked while anything is decided about its deliveries",
)

notices = Table(
    "notices",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    comment="Every notify and stand_down taken in, by its event id: the same one again changes nothing",
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("notification_id", Uuid, primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    comment="Notifications that are not needed any more, known or not known yet",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("notification_id", Uuid, ForeignKey("notices.id"), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("run", Integer),
    Column("step", Integer),
    Column("tier", Integer),
    Column("severity", SmallInteger, nullable=False),
    Column("occasion", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("role_title", Text, nullable=False),
    Column("scheduled_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("ready_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("queued_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("token", BigInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("ambiguous", Boolean, nullable=False, server_default=text("false")),
    Column("late", Boolean, nullable=False, server_default=text("false")),
    Column("person", Text),
    Column("name", Text),
    Column("email", Text),
    Column("rule", Text),
    Column("message_id", Text),
    Column("reply", Text),
    Column(
        "redelivery",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="0: what an event asked for; otherwise the how manieth time somebody asked for it once more",
    ),
    Column("redelivery_of", Uuid, ForeignKey("deliveries.id")),
    Column("redelivered_by", Text),
    Column(
        "fallback",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="0: to the person's first address; otherwise the how manieth address after it",
    ),
    Column("fallback_of", Uuid, ForeignKey("deliveries.id")),
    Column("scheduled_person", Text, comment="who held the role at `scheduled_at`, where somebody else did at sending"),
    UniqueConstraint("notification_id", "person", "email", "redelivery", "fallback"),
    Index("deliveries_ticket_idx", "ticket_id", "seq"),
    Index("deliveries_tenant_idx", "tenant", "seq"),
    Index("deliveries_message_id_idx", "message_id"),
    # Rows stay near the place where they were queued, and this index costs a change of theirs next to nothing.
    Index("deliveries_queued_at_idx", "queued_at", postgresql_using="brin"),
    # The queue: small whatever the table grows to, in the order in which it is worked.
    Index(
        "deliveries_open_idx",
        "severity",
        text("coalesce(tier, 0) DESC"),
        "seq",
        postgresql_where=text("ready_at IS NOT NULL"),
    ),
    # One mail for an occasion and a person, ever, whatever the code above believes; a redelivery is one of its own.
    Index(
        "deliveries_once_idx",
        "ticket_id",
        "occasion",
        "person",
        unique=True,
        postgresql_where=text("state IN ('claimed', 'in_data', 'sent')"),
    ),
    comment="One recipient, one row",
)

UNDELIVERED: Final = text("entry IN ('bounced', 'refused', 'undeliverable')")
"""The journal's lines of addresses that did not take a mail, and of mails that reached nobody."""

journal = Table(
    "journal",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("delivery_id", Uuid, ForeignKey("deliveries.id"), nullable=False),
    Column("entry", Text, nullable=False, comment="the state reached, `ambiguous` or `reported`"),
    Column("attempts", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("real_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("reply", Text),
    Column("email", Text, comment="the address that it was about, if there was one"),
    Column("event", LargeBinary, comment="the delivery event that told of it, if one did"),
    Index(None, "delivery_id"),
    Index("journal_undelivered_idx", "real_at", postgresql_where=UNDELIVERED),
    comment="What became of each delivery, step by step, in the server's words",
)
