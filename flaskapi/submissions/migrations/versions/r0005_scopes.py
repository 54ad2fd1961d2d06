"""What a key opens, until when, and how often. Keys that were there open all that they did."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0005", "r0004"


def upgrade() -> None:
    op.add_column("keys", sa.Column("scopes", sa.String, nullable=False, server_default="operate"))
    op.add_column("keys", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.add_column("keys", sa.Column("rate_limit", sa.String))


def downgrade() -> None:
    for name in ("rate_limit", "expires_at", "scopes"):
        op.drop_column("keys", name)
