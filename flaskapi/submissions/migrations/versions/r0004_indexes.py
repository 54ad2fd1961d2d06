"""Indexes for statistics and for the pages of `GET /submissions`."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "r0004", "r0003"

# Why each is there, `tables.py` says.
_COUNTED = ["received_at", "model", "route", "confidence", "uncertain"]
_LABELLED = ["id", "label", "model", "route", "uncertain"]
_INDEXES: dict[str, tuple[list[str], str | None]] = {
    "ix_submissions_digits": (
        [*_COUNTED, "prediction", "ink_share", "stroke_px", "size_px", "contrast"],
        "ink_share IS NOT NULL",
    ),
    "ix_submissions_others": ([*_COUNTED, "ink_share"], "ink_share IS NULL"),
    "ix_submissions_labelled": (["received_at"], "label IS NOT NULL"),
    "ix_submissions_prediction": (["prediction", "id", "model", "route"], "lines IS NULL"),
    "ix_submissions_model": (["model", "id", "route"], None),
    "ix_submissions_route": (["route", "id", "model"], None),
    "ix_submissions_label": (_LABELLED, "label IS NOT NULL"),
    "ix_submissions_disagreement": (["id"], "label IS NOT NULL AND label != prediction"),
    "ix_submissions_agreement": (_LABELLED, "label IS NOT NULL AND label = prediction"),
    "ix_submissions_uncertain": (["id", "model", "route"], "uncertain = true"),
}


def upgrade() -> None:
    for name, (columns, where) in _INDEXES.items():
        condition, by_sqlite = (
            (None, None) if where is None else (sa.text(where), sa.text(where.replace("true", "1")))
        )
        op.create_index(
            name, "submissions", columns, sqlite_where=by_sqlite, postgresql_where=condition
        )


def downgrade() -> None:
    for name in reversed(_INDEXES):
        op.drop_index(name, "submissions")
