"""The tables, as the newest migration leaves them; `tests/submissions/test_migrate.py` holds both
against each other.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

REVISION = (
    "r0010"  # the newest migration, so that a process which finds it there need not load Alembic
)

metadata = sa.MetaData()


class Moment(sa.TypeDecorator[datetime]):
    """A moment with its time zone, also where the database knows none (SQLite): there it is kept in
    UTC.
    """

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
    sa.Column("content", sa.LargeBinary, nullable=False),  # empty where there is a place
    # Of an image outside the database: its name there, and its size.
    sa.Column("place", sa.String),
    sa.Column("size_bytes", sa.Integer),
)
sa.Index(
    "ix_images_place",
    images.c.place,
    unique=True,
    sqlite_where=sa.text("place IS NOT NULL"),
    postgresql_where=sa.text("place IS NOT NULL"),
)
# How many bytes an image has, wherever it is.
IMAGE_BYTES = sa.func.coalesce(images.c.size_bytes, sa.func.length(images.c.content))

outside = sa.Table(
    "outside",  # images outside the database that have no row yet, or none any more
    metadata,
    sa.Column("place", sa.String, primary_key=True),
    sa.Column("noted_at", Moment, nullable=False),
    sa.Column("erasing", sa.Boolean, nullable=False),  # else it is being written
)

submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column(
        "sha256", sa.LargeBinary(32), sa.ForeignKey("images.sha256"), nullable=False, index=True
    ),
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
    # Of a digit as it was sent, to compare with what the network learned from.
    sa.Column("ink_share", sa.Float),  # of the 28x28 that the network saw, 0 to 1
    sa.Column("stroke_px", sa.Float),  # the mean width of a stroke in it
    # The longer side of the ink in the picture that was sent, reduced to 1,024 pixels if larger.
    sa.Column("size_px", sa.Float),
    sa.Column("contrast", sa.Float),  # between ink and ground there, in grey levels
    # The newest of its labels, kept here too so that it can be asked for.
    sa.Column("label", sa.String),  # a digit, a number, or `none` for what shows none
    sa.Column("label_source", sa.String),  # `sender` or `operator`
)


def _index(name: str, *columns: str, where: str | None = None) -> None:
    # SQLite takes an index only where a query says the same, to the letter, and there `true` is
    # written 1.
    condition, by_sqlite = (
        (None, None) if where is None else (sa.text(where), sa.text(where.replace("true", "1")))
    )
    own = (submissions.c[column] for column in columns)
    sa.Index(f"ix_submissions_{name}", *own, sqlite_where=by_sqlite, postgresql_where=condition)


# For statistics: one scan of a part of the index is all that a day needs, for it has every column
# that is asked for; what people labelled is looked up. A number is in no index, for it may be long,
# and PostgreSQL takes no entry above 2,700 bytes.
_COUNTED = ("received_at", "model", "route", "confidence", "uncertain")
_index(
    "digits",
    *_COUNTED,
    "prediction",
    "ink_share",
    "stroke_px",
    "size_px",
    "contrast",
    where="ink_share IS NOT NULL",
)
_index("others", *_COUNTED, "ink_share", where="ink_share IS NULL")
_index("labelled", "received_at", where="label IS NOT NULL")
# For pages, which go by the id: what is rare is found in its own index, and told by model and route
# there without reading the rows.
_index("prediction", "prediction", "id", "model", "route", where="lines IS NULL")
_index("model", "model", "id", "route")
_index("route", "route", "id", "model")
_LABELLED = ("id", "label", "model", "route", "uncertain")
_index("label", *_LABELLED, where="label IS NOT NULL")
_index("disagreement", "id", where="label IS NOT NULL AND label != prediction")
_index("agreement", *_LABELLED, where="label IS NOT NULL AND label = prediction")
_index("uncertain", "id", "model", "route", where="uncertain = true")

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column(
        "submission_id",
        sa.Uuid,
        sa.ForeignKey("submissions.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("labelled_at", Moment, nullable=False),
    sa.Column("label", sa.String),  # none: withdrawn
    sa.Column("reason", sa.String),
    sa.Column("source", sa.String, nullable=False),  # `sender` or `operator`
    sa.Column("key_name", sa.String),  # the operator's
    sa.Column("client", sa.LargeBinary),  # tells two senders apart, and nothing more of them
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("used_at", Moment),
    sa.Column("revoked_at", Moment),
    # Names of `submissions.SCOPES`, parted by spaces.
    sa.Column("scopes", sa.String, nullable=False, server_default="operate"),
    sa.Column("expires_at", Moment),
    sa.Column("rate_limit", sa.String),  # as `60 per minute`
)

days = sa.Table(
    "days",  # what statistics say of a day that is over
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("summary", sa.JSON, nullable=False),
)

retrainings = sa.Table(
    "retrainings",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("requested_at", Moment, nullable=False),
    sa.Column("requested_by", sa.String),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worker", sa.String),
    sa.Column("heard_at", Moment),  # of the worker, last
    sa.Column("finished_at", Moment),
    sa.Column("progress", sa.Float, nullable=False, server_default="0"),  # 0 to 1
    sa.Column("ends_at", Moment),  # probably, while it is running
    sa.Column("version", sa.String),  # the candidate
    sa.Column("figures", sa.JSON(none_as_null=True)),
    sa.Column("log", sa.String, nullable=False, server_default=""),  # its end
)

shadows = sa.Table(
    "shadows",  # what a candidate answered beside the model that serves
    metadata,
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

idempotency_keys = sa.Table(
    "idempotency_keys",  # images that were sent under one, which are not kept again
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),  # of the key and of who sent it
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),  # in its request
    sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),  # of the image and the query
    sa.Column(
        "submission_id",
        sa.Uuid,
        sa.ForeignKey("submissions.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("prediction", sa.JSON, nullable=False),  # the answer
)

batches = sa.Table(
    "batches",  # requests with many images that a worker answers, and what became of them
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("requested_at", Moment, nullable=False),
    # Whose it is: a key's name, or what tells two senders without a key apart.
    sa.Column("key_name", sa.String),
    sa.Column("client", sa.LargeBinary),
    sa.Column("request", sa.JSON, nullable=False),  # its query and headers, as far as they matter
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worker", sa.String),
    sa.Column("heard_at", Moment),  # of the worker, last
    sa.Column("finished_at", Moment),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),  # of its pieces
    sa.Column("images", sa.Integer),  # none: not counted yet
    sa.Column("answered", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),  # of those answered
    # When the worker took it, and how many were answered then.
    sa.Column("taken_at", Moment),
    sa.Column("taken_answered", sa.Integer, nullable=False, server_default="0"),
    sa.Column("error", sa.JSON(none_as_null=True)),  # that ended it
)

batch_pieces = sa.Table(
    "batch_pieces",  # the body as it was sent, and the answers as lines of JSON
    metadata,
    sa.Column(
        "batch_id", sa.Uuid, sa.ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("part", sa.String, primary_key=True),  # `sent` or `answered`
    # Of the body its place; of answers how many images were answered before.
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

chores = sa.Table(
    "chores",  # what processes do by turns
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("due_at", Moment, nullable=False),
)

versions = sa.Table(
    "versions",  # of the model, where VERSIONS_STORE is `database`
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("registered_at", Moment, nullable=False),
)

version_files = sa.Table(
    "version_files",
    metadata,
    sa.Column(
        "version", sa.String, sa.ForeignKey("versions.name", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

pointers = sa.Table(
    "pointers",  # the one to the version that serves
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("changes", sa.Integer, nullable=False),  # how often it was changed
    sa.Column("content", sa.JSON, nullable=False),
)

processes = sa.Table(
    "processes",  # what each says that it serves
    metadata,
    sa.Column("instance", sa.String, primary_key=True),
    sa.Column("pid", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("refused", sa.String),
    sa.Column("heard_at", Moment, nullable=False),
)
