"""When a running retraining will probably end."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0010", "r0009"


def upgrade() -> None:
    op.add_column("retrainings", sa.Column("ends_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("retrainings", "ends_at")
