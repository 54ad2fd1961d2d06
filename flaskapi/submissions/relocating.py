"""Bring images to where the settings say: those above a size out of the database, all others into
it, while the service runs.

| step | what is noted in `outside` | killed after it |
|---|---|---|
| an image is written outside, under a new name | it is being written | its row has it still |
| its row says where it is, in one transaction | nothing | it is outside |
| the row of another has its image, in one transaction | it is being erased | it is inside |
| that image is erased | nothing | it is inside |

Housekeeping erases what is noted, so whoever begins again has only the rest to do.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from flaskapi.errors import FlaskapiError, StoreUnavailableError
from flaskapi.submissions.changes import has_notes
from flaskapi.submissions.database import Database
from flaskapi.submissions.outside import (
    erase_if_possible,
    make_missing,
    note_erased,
    read,
    write_noted,
)
from flaskapi.submissions.pictures import new_name
from flaskapi.submissions.tables import IMAGE_BYTES, images, outside

_TOGETHER = 50  # images that are found by one query; each is read and written by itself


class Brought(NamedTuple):
    """An image that was brought where it belongs, or could not be."""

    sha256: bytes
    goes_out: bool  # of the database; else into it
    lost: str | None = None  # why it could not be


def count_misplaced(store: Database, above_bytes: int | None) -> int:
    """The number of images that are not where they belong.

    Args:
        above_bytes: larger ones belong outside the database; None: none does.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    query = sa.select(sa.func.count()).select_from(images).where(_is_misplaced(above_bytes))
    (row,) = _read(store, query)
    return int(row[0])


def bring(store: Database, above_bytes: int | None) -> Iterator[Brought]:
    """Bring images where they belong, one at a time, and give each that was.

    Raises:
        FlaskapiError: all rows are being moved to another database.
        StoreUnavailableError: the place or the database cannot be used; what was brought until then
            stays there.
    """
    of, after = images.c, b""
    query = sa.select(of.sha256, of.place).where(_is_misplaced(above_bytes)).order_by(of.sha256)
    while found := _read(store, query.where(of.sha256 > after).limit(_TOGETHER)):
        if store.run(has_notes, reads=True):
            raise FlaskapiError("The rows are being moved to another database: wait for its end.")
        yield from _bring_some(store, found)
        after = found[-1].sha256
        erase_if_possible(store)


def _bring_some(store: Database, found: Sequence[sa.Row[Any]]) -> Iterator[Brought]:
    for row in found:
        brought = Brought(row.sha256, goes_out=row.place is None)
        try:
            if row.place is None:
                is_there = _bring_out(store, row.sha256)
            else:
                is_there = _bring_in(store, row.place, row.sha256)
        except StoreUnavailableError as error:
            if not error.lost:
                raise
            is_there, brought = True, brought._replace(lost=str(error))
        if is_there:
            yield brought


def _bring_out(store: Database, sha256: bytes) -> bool:
    """Write an image outside the database; false if its row has gone or is another meanwhile."""
    assert store.pictures is not None  # else none belongs there
    is_inside = images.c.sha256 == sha256, images.c.place.is_(None)
    found = _read(store, sa.select(images.c.content).where(*is_inside))
    if not found:
        return False
    name, content = new_name(), found[0].content
    write_noted(store, store.pictures, [(name, content)])
    note = sa.delete(outside).where(outside.c.place == name, outside.c.erasing == sa.false())
    row = sa.update(images).where(*is_inside)
    row = row.values(content=b"", place=name, size_bytes=len(content))

    def work(connection: sa.Connection) -> bool:
        if not connection.execute(note).rowcount:
            return False  # it was written so slowly that it was given up
        if connection.execute(row).rowcount:
            return True
        note_erased(connection, [name])
        return False

    return store.run(work)


def _bring_in(store: Database, place: str, sha256: bytes) -> bool:
    """Write an image into the database; false if its row has gone or is another meanwhile."""
    store.check_room()
    is_outside = images.c.sha256 == sha256, images.c.place == place
    content = read(store, place, sha256)
    if content is None:
        if _read(store, sa.select(images.c.place).where(*is_outside)):
            raise make_missing(place)
        return False
    row = sa.update(images).where(*is_outside)
    row = row.values(content=content, place=None, size_bytes=None)

    def work(connection: sa.Connection) -> bool:
        if not connection.execute(row).rowcount:
            return False
        note_erased(connection, [place])
        return True

    return store.run(work)


def _is_misplaced(above_bytes: int | None) -> sa.ColumnElement[bool]:
    """Of an image: is it outside, or inside, and belongs elsewhere?"""
    is_inside = images.c.place.is_(None)
    if above_bytes is None:
        return ~is_inside
    return sa.or_(
        sa.and_(is_inside, IMAGE_BYTES > above_bytes),
        sa.and_(~is_inside, IMAGE_BYTES <= above_bytes),
    )


def _read(store: Database, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """Read rows, however long it takes to find them among all others."""

    def work(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        return connection.execute(query).all()

    return store.run(work, reads=True, long=True)
