"""The tables, as the newest migration leaves them; `tests/submissions/test_migrate.py` holds both against each other."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

REVISION = "r0001"  # the newest migration, so that a process which finds it there need not load Alembic

metadata = sa.MetaData()


class Moment(sa.TypeDecorator[datetime]):
    """A moment with its time zone, also where the database knows none (SQLite): there it is kept in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


images = sa.Table(
    "images",
    metadata,
    sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("media_type", sa.String, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("sha256", sa.LargeBinary(32), sa.ForeignKey("images.sha256"), nullable=False, index=True),
    sa.Column("route", sa.String, nullable=False),
    sa.Column("batch", sa.Uuid),
    sa.Column("prediction", sa.String, nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("uncertain", sa.Boolean, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("probabilities", sa.JSON(none_as_null=True)),
    sa.Column("normalized", sa.LargeBinary),
    sa.Column("lines", sa.JSON(none_as_null=True)),
    sa.Column("digits", sa.JSON(none_as_null=True)),
)
