"""Labels and their history, operators' keys, what a digit was like, days, retrainings, and what a
candidate answered.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0002", "r0001"

_ADDED = {
    "ink_share": sa.Float,
    "stroke_px": sa.Float,
    "size_px": sa.Float,
    "contrast": sa.Float,
    "label": sa.String,
    "label_source": sa.String,
}


def upgrade() -> None:
    for name, kind in _ADDED.items():
        op.add_column("submissions", sa.Column(name, kind))
    op.create_table(
        "labels",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "submission_id",
            sa.Uuid,
            sa.ForeignKey("submissions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("labelled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("key_name", sa.String),
        sa.Column("client", sa.LargeBinary),
    )
    op.create_index("ix_labels_submission_id", "labels", ["submission_id"])
    op.create_table(
        "keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "days",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("summary", sa.JSON, nullable=False),
    )
    op.create_table(
        "retrainings",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.String),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.String),
        sa.Column("heard_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("progress", sa.Float, nullable=False, server_default="0"),
        sa.Column("version", sa.String),
        sa.Column("figures", sa.JSON),
        sa.Column("log", sa.String, nullable=False, server_default=""),
    )
    op.create_index("ix_retrainings_state", "retrainings", ["state"])
    op.create_table(
        "shadows",
        sa.Column(
            "submission_id",
            sa.Uuid,
            sa.ForeignKey("submissions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("prediction", sa.String, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
    )


def downgrade() -> None:
    for table in ("shadows", "retrainings", "days", "keys", "labels"):
        op.drop_table(table)
    for name in reversed(_ADDED):
        op.drop_column("submissions", name)
