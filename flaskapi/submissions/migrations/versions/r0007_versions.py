"""The versions of the model, the pointer to the one that serves, and what each process serves."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0007", "r0006"
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "versions",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("registered_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "version_files",
        sa.Column(
            "version",
            sa.String,
            sa.ForeignKey("versions.name", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "pointers",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
    )
    op.create_table(
        "processes",
        sa.Column("instance", sa.String, primary_key=True),
        sa.Column("pid", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("refused", sa.String),
        sa.Column("heard_at", _MOMENT, nullable=False),
    )


def downgrade() -> None:
    for name in ("processes", "pointers", "version_files", "versions"):
        op.drop_table(name)
