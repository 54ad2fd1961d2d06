"""Images and submissions."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0001", None


def upgrade() -> None:
    op.create_table(
        "images",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), sa.ForeignKey("images.sha256"), nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("batch", sa.Uuid),
        sa.Column("prediction", sa.String, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("uncertain", sa.Boolean, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("probabilities", sa.JSON),
        sa.Column("normalized", sa.LargeBinary),
        sa.Column("lines", sa.JSON),
        sa.Column("digits", sa.JSON),
    )
    op.create_index("ix_submissions_sha256", "submissions", ["sha256"])


def downgrade() -> None:
    op.drop_table("submissions")
    op.drop_table("images")
