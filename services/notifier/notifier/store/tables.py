"""The notifier's tables, and how to select rows by many values."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    any_,
    func,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import NOTIFICATIONS_TOPIC

from notifier.domain.delivery import DeliveryState

metadata = new_metadata()

OFFSETS = Offsets.define(metadata)
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)
OUTBOX = Outbox.define(metadata, topic=NOTIFICATIONS_TOPIC, source="notifier")


class _StateColumn(TypeDecorator[DeliveryState]):
    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> DeliveryState | None:
        return DeliveryState(value) if value is not None else None


TICKETS = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    comment="One row a ticket or report, locked while anything is decided about its deliveries",
)

NOTIFICATIONS = Table(
    "notifications",
    metadata,
    Column("id", Uuid, primary_key=True, comment="the event id"),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("type", Text, nullable=False, comment="`notify`, `stand_down`, `exhausted` or `report.ready`"),
    Column("event", LargeBinary, nullable=False),
    comment="Every event received that requests mails; a repeated event changes nothing",
)

WITHDRAWALS = Table(
    "withdrawals",
    metadata,
    Column("notification_id", Uuid, primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    comment="Notifications that are no longer needed; some may not have arrived yet",
)

DELIVERIES = Table(
    "deliveries",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("notification_id", Uuid, ForeignKey("notifications.id"), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("run", Integer),
    Column("step", Integer),
    Column("tier", Integer),
    Column("severity", SmallInteger, nullable=False, comment="5: a report, which has none and leaves last"),
    Column("occasion", Text, nullable=False, comment="what the mail is about; a person gets one mail per occasion"),
    Column("role", Text, nullable=False),
    Column("role_title", Text, nullable=False),
    Column("scheduled_at", DateTime(timezone=True), nullable=False),
    Column("state", _StateColumn, nullable=False),
    Column("ready_at", DateTime(timezone=True), comment="real time: next attempt, or end of the lease; null: final"),
    Column(
        "published_at",
        DateTime(timezone=True),
        nullable=False,
        comment="real time, of its notification",
    ),
    Column("created_at", DateTime(timezone=True), nullable=False, comment="real time"),
    Column("queued_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("token", BigInteger, nullable=False, comment="counts the claims and fences them"),
    Column("attempts", Integer, nullable=False),
    Column("ambiguous", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("person", Text),
    Column("name", Text),
    Column("email", Text),
    Column("rule", Text),
    Column("message_id", Text),
    Column("reply", Text),
    Column(
        "redelivery_number", Integer, nullable=False, comment="0: requested by an event; else which repeat (1, 2, ...)"
    ),
    Column("redelivery_of", Uuid, ForeignKey("deliveries.id")),
    Column("redelivered_by", Text),
    Column(
        "fallback_number", Integer, nullable=False, comment="0: the first address; else which further one (1, 2, ...)"
    ),
    Column("fallback_of", Uuid, ForeignKey("deliveries.id")),
    Column("scheduled_person", Text, comment="who held the role at `scheduled_at`, if `person` is somebody else"),
    Column("digest_id", Uuid, comment="the digest of the last attempt; null: a single mail"),
    Column("sent_real_at", DateTime(timezone=True), comment="real time: when a server accepted it, or may have"),
    UniqueConstraint("notification_id", "person", "email", "redelivery_number", "fallback_number"),
    Index("deliveries_ticket_idx", "ticket_id", "seq"),
    Index("deliveries_tenant_idx", "tenant", "seq"),
    Index("deliveries_message_id_idx", "message_id"),
    # BRIN: rows stay close to where they were queued, and the index costs an update next to nothing.
    Index("deliveries_queued_at_idx", "queued_at", postgresql_using="brin"),
    # The queue, in the order of urgency; small whatever the table grows to.
    Index(
        "deliveries_open_idx",
        "severity",
        text("coalesce(tier, 0) DESC"),
        "seq",
        postgresql_where=text("ready_at IS NOT NULL"),
    ),
    # What a repeated digest consists of, and the single mails that an address got lately.
    Index("deliveries_digest_idx", "digest_id", postgresql_where=text("digest_id IS NOT NULL")),
    Index(
        "deliveries_single_idx",
        text("lower(email)"),
        "sent_real_at",
        postgresql_where=text("sent_real_at IS NOT NULL AND digest_id IS NULL AND severity >= 3"),
    ),
    # One mail per occasion and person, whatever the code does (docs/rules.md#5-23). A redelivery is another occasion.
    Index(
        "deliveries_once_idx",
        "ticket_id",
        "occasion",
        "person",
        unique=True,
        postgresql_where=text("state IN ('claimed', 'in_data', 'sent')"),
    ),
    comment="One mail to one person at one address",
)

UNDELIVERED: Final = text("entry IN ('bounced', 'refused', 'undeliverable')")
"""The journal entries of addresses that failed, and of mails that reached nobody."""

REPORT_COUNTS = Table(
    "report_counts",
    metadata,
    Column("result", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    comment="How many reports of mail servers had each result, through the API and the command",
)

UNMATCHED_REPORTS = Table(
    "unmatched_reports",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, comment="whose key posted it; null: it came by the command"),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("reason", Text, nullable=False),
    Column("problem", Text, nullable=False, comment="the reason as a sentence"),
    Column("sender", Text),
    Column("subject", Text),
    Column("message_id", Text, comment="of the mail that it is about, if it names one"),
    Column("recipient", Text, comment="of that mail, as far as it can be guessed"),
    Column("size", Integer, nullable=False, comment="bytes of the whole message"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the whole message: a repeat is stored once"),
    Column("raw", LargeBinary, nullable=False, comment="the beginning of the message"),
    UniqueConstraint("tenant", "digest", postgresql_nulls_not_distinct=True),
    Index("unmatched_reports_tenant_idx", "tenant", "id"),
    comment="Messages that were reported as bounces and changed nothing, for people to read; bounded",
)

JOURNAL = Table(
    "journal",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("delivery_id", Uuid, ForeignKey("deliveries.id"), nullable=False),
    Column("entry", Text, nullable=False, comment="the state reached, `ambiguous` or `reported`"),
    Column("attempts", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, comment="business time"),
    Column("real_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("reply", Text),
    Column("email", Text),
    Column("event", LargeBinary, comment="the delivery event that was published, if any"),
    Index(None, "delivery_id"),
    Index("journal_undelivered_idx", "real_at", postgresql_where=UNDELIVERED),
    comment="Every state of every delivery, with the server's reply; append-only",
)


Value = TypeVar("Value")


def is_any_of(column: Column[Value], values: Iterable[Value] | BindParameter[Sequence[Value]]) -> ColumnElement[bool]:
    """As `column IN values`, with an array: the same prepared statement for any number of values."""
    given = values if isinstance(values, BindParameter) else literal(list(values), ARRAY(column.type))
    return column == any_(given)
