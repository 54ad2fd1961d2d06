"""Requests with many images that a worker answers."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0008", "r0007"


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_name", sa.String),
        sa.Column("client", sa.LargeBinary),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.String),
        sa.Column("heard_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("images", sa.Integer),
        sa.Column("answered", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failed", sa.Integer, nullable=False, server_default="0"),
        sa.Column("taken_at", sa.DateTime(timezone=True)),
        sa.Column("taken_answered", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", sa.JSON),
    )
    op.create_index("ix_batches_state", "batches", ["state"])
    op.create_table(
        "batch_pieces",
        sa.Column(
            "batch_id",
            sa.Uuid,
            sa.ForeignKey("batches.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("part", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("batch_pieces")
    op.drop_table("batches")
