"""The index of words takes the beginning of the affected services: all of them may be more than it can hold."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WORDS = """to_tsvector('simple'::regconfig, regexp_replace(
    external_id || ' ' || (body ->> 'summary') || ' ' || "left"(body ->> 'affected_services', 10000)
    || ' ' || ((body -> 'customer') ->> 'name') || ' ' || ((body -> 'contact') ->> 'name')
    || ' ' || coalesce("left"(body ->> 'description', 1000), ''),
    '[!-/:-@[-`{-~]+', ' ', 'g'))"""


def upgrade() -> None:
    op.drop_index("tickets_words_idx", "tickets")
    op.create_index("tickets_words_idx", "tickets", [sa.text(WORDS)], postgresql_using="gin")
