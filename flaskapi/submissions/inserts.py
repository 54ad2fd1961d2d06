"""The statements that keep submissions, as each database takes many rows at the least cost."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from flaskapi.submissions import Submission
from flaskapi.submissions.tables import images, submissions

Rows = list[dict[str, Any]]
_SQLITE_IMAGES = sqlite.insert(images).on_conflict_do_nothing()
_SUBMISSIONS = sa.insert(submissions)


def insert(connection: sa.Connection, kept: list[Submission], digests: list[bytes]) -> None:
    """Store submissions and those of their images that are not there yet.

    Args:
        digests: the SHA-256 of each submission's image.
    """
    contents = {digest: (one.media_type, one.image) for digest, one in zip(digests, kept, strict=True)}
    # Sorted, so that two transactions that store the same images wait for each other in the same order.
    pictures = [{"sha256": digest, "media_type": kind, "content": content} for digest, (kind, content) in sorted(contents.items())]
    rows = [{"sha256": digest} | {name: getattr(one, name) for name in _OWN} for digest, one in zip(digests, kept, strict=True)]
    if connection.dialect.name == "sqlite":
        connection.execute(_SQLITE_IMAGES, pictures)
        connection.execute(_SUBMISSIONS, rows)
    else:
        for row in rows:
            row |= {name: None if row[name] is None else json.dumps(row[name]) for name in _JSON}
        tables = ((images, pictures), (submissions, rows))
        columns = {f"{table.name}_{name}": [row[name] for row in of] for table, of in tables for name in of[0]}
        connection.execute(_POSTGRESQL, columns)


_OWN = [column.name for column in submissions.c if column.name != "sha256"]
_JSON = [column.name for column in submissions.c if isinstance(column.type, sa.JSON)]


def _select_arrays(table: sa.Table) -> sa.Select[Any]:
    """Rows out of arrays, one for each column: `SELECT ... FROM unnest(...)`, which is the same statement for any number of rows."""
    arrays = [
        sa.bindparam(f"{table.name}_{column.name}", type_=postgresql.ARRAY(sa.Text() if column.name in _JSON else column.type))
        for column in table.c
    ]
    rows = sa.func.unnest(*arrays).table_valued(*(column.name for column in table.c)).render_derived(name=table.name + "_sent")
    return sa.select(*(sa.cast(rows.c[column.name], column.type) for column in table.c))


# Both tables in one statement, so that it is one way to the server and back, its commit included.
_POSTGRESQL = (
    postgresql.insert(submissions)
    .from_select([column.name for column in submissions.c], _select_arrays(submissions))
    .on_conflict_do_nothing()  # the same again, after a connection was lost that may have committed it
    .add_cte(
        postgresql.insert(images)
        .from_select([column.name for column in images.c], _select_arrays(images))
        .on_conflict_do_nothing()
        .cte("stored")
    )
)
