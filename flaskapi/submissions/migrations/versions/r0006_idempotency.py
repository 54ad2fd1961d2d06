"""Which images were sent under an idempotency key, and what was answered."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0006", "r0005"


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column(
            "submission_id",
            sa.Uuid,
            sa.ForeignKey("submissions.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("prediction", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("idempotency_keys")
