"""What processes do by turns, and when each is due again."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0003", "r0002"


def upgrade() -> None:
    op.create_table(
        "chores",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("chores")
