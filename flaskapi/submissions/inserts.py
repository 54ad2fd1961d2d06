"""The statements that keep submissions, as each database takes many rows at the least cost."""

import json
from base64 import b64encode
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from flaskapi.submissions import Submission
from flaskapi.submissions.outside import settle
from flaskapi.submissions.tables import images, submissions

Rows = list[dict[str, Any]]
_SQLITE_IMAGES = sqlite.insert(images).on_conflict_do_nothing()
_SUBMISSIONS = sa.insert(submissions)


def insert(connection: sa.Connection, kept: list[Submission], digests: list[bytes]) -> None:
    """Store submissions and those of their images that are not there yet.

    Args:
        digests: the SHA-256 of each submission's image.
    """
    contents = dict(zip(digests, kept, strict=True))
    # Sorted, so that two transactions that store the same images wait for each other in the same
    # order.
    pictures = [_image(digest, contents[digest]) for digest in sorted(contents)]
    rows = [
        {"sha256": digest} | {name: getattr(one, name) for name in _OWN}
        for digest, one in zip(digests, kept, strict=True)
    ]
    if connection.dialect.name == "sqlite":
        connection.execute(_SQLITE_IMAGES, pictures)
        connection.execute(_SUBMISSIONS, rows)
    else:
        columns: dict[str, Any] = {
            f"images_{name}": [picture[name] for picture in pictures] for name in pictures[0]
        }
        connection.execute(
            _POSTGRESQL,
            columns | {"submissions": json.dumps(rows, default=_as_json, allow_nan=False)},
        )
    settle(connection, kept)


def _image(digest: bytes, one: Submission) -> dict[str, Any]:
    is_outside = one.place is not None
    return {
        "sha256": digest,
        "media_type": one.media_type,
        "content": b"" if is_outside else one.image,
        "place": one.place,
        "size_bytes": len(one.image) if is_outside else None,
    }


_OWN = [column.name for column in submissions.c if column.name != "sha256"]


def _as_json(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, UUID | datetime):
        return str(value)
    raise TypeError(f"{type(value).__name__} is kept in no column.")


def _select_images() -> sa.Select[Any]:
    """Images out of arrays, one for each column: `SELECT ... FROM unnest(...)`."""
    arrays = [
        sa.bindparam(f"images_{column.name}", type_=postgresql.ARRAY(column.type))
        for column in images.c
    ]
    return sa.select(
        sa.func.unnest(*arrays)
        .table_valued(*(column.name for column in images.c))
        .render_derived(name="sent")
    )


def _select_submissions() -> sa.Select[Any]:
    """Submissions out of one JSON text, which costs this process a third of what arrays do; bytes
    are in Base64 there.
    """
    is_bytes = {column.name: isinstance(column.type, sa.LargeBinary) for column in submissions.c}
    columns = [
        sa.column(column.name, sa.Text() if is_bytes[column.name] else column.type)
        for column in submissions.c
    ]
    sent = sa.func.json_to_recordset(
        sa.cast(sa.bindparam("submissions", type_=sa.Text()), postgresql.JSON())
    ).table_valued(*columns)
    rows = sent.render_derived(name="sent", with_types=True)
    return sa.select(
        *(
            sa.func.decode(rows.c[name], "base64") if is_bytes[name] else rows.c[name]
            for name in is_bytes
        )
    )


# Both tables in one statement, so that it is one way to the server and back, its commit included.
_POSTGRESQL = (
    postgresql.insert(submissions)
    .from_select([column.name for column in submissions.c], _select_submissions())
    # The same again, after a connection was lost that may have committed it.
    .on_conflict_do_nothing()
    .add_cte(
        postgresql.insert(images)
        .from_select([column.name for column in images.c], _select_images())
        .on_conflict_do_nothing()
        .cte("stored")
    )
)
