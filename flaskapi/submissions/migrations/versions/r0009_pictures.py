"""Large images outside the database: where each is, and which have no row yet, or none any more."""

import sqlalchemy as sa
from alembic import op

from flaskapi.errors import StoreUnavailableError

revision, down_revision = "r0009", "r0008"


def upgrade() -> None:
    op.add_column("images", sa.Column("place", sa.String))
    op.add_column("images", sa.Column("size_bytes", sa.Integer))
    op.create_index(
        "ix_images_place",
        "images",
        ["place"],
        unique=True,
        sqlite_where=sa.text("place IS NOT NULL"),
        postgresql_where=sa.text("place IS NOT NULL"),
    )
    op.create_table(
        "outside",
        sa.Column("place", sa.String, primary_key=True),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erasing", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    found = op.get_bind().execute(sa.text("SELECT 1 FROM images WHERE place IS NOT NULL LIMIT 1"))
    if found.first():
        raise StoreUnavailableError(
            "Images lie outside the database, which tables of that version cannot say."
        )
    op.drop_table("outside")
    op.drop_index("ix_images_place", "images")
    for name in ("size_bytes", "place"):
        op.drop_column("images", name)
