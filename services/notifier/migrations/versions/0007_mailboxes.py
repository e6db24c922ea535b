"""A stand-down goes to each mailbox that was mailed, also where they are one person's."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Looser than the one before it, so that code which knows one mailbox a person runs on.
    op.drop_constraint("deliveries_notification_id_person_redelivery_fallback_key", "deliveries")
    op.create_unique_constraint(
        "deliveries_notification_id_person_email_redelivery_fallback_key",
        "deliveries",
        ["notification_id", "person", "email", "redelivery", "fallback"],
    )
