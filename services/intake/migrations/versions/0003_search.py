"""Indexes for the list of tickets: by when they were opened, and by words."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORDS = """to_tsvector('simple'::regconfig, regexp_replace(
    external_id || ' ' || (body ->> 'summary') || ' ' || (body ->> 'affected_services')
    || ' ' || ((body -> 'customer') ->> 'name') || ' ' || ((body -> 'contact') ->> 'name')
    || ' ' || coalesce("left"(body ->> 'description', 1000), ''),
    '[!-/:-@[-`{-~]+', ' ', 'g'))"""


def upgrade() -> None:
    op.create_index("tickets_opened_idx", "tickets", ["tenant", "opened_at"])
    op.create_index("tickets_words_idx", "tickets", [sa.text(WORDS)], postgresql_using="gin")
