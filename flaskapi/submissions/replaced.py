"""Images outside the database whose rows a restore replaces: they are noted, and then erased.

Notes of images that are being written stay as they are: their rows may come after the restore. In a
database that was moved away from, the images belong to the other one; none is noted.
"""

import contextlib
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.migrate import bring_up_to_date
from flaskapi.submissions.tables import chores

# Of the notes and the rows that are replaced; a backup's own note of the same image gives way.
_NOTE = (
    "INSERT INTO outside (place, noted_at, erasing) SELECT place, noted_at, erasing FROM replaced "
    "WHERE true ON CONFLICT (place) DO UPDATE SET erasing = outside.erasing OR excluded.erasing"
)
# The mark of a database from which `store move` has moved; no other table is for the whole of one.
_IS_LEFT = "EXISTS (SELECT 1 FROM chores WHERE name = 'left')"
_KEEP = "DELETE FROM outside WHERE place IN (SELECT place FROM images WHERE place IS NOT NULL)"


def mark_left(connection: sa.Connection) -> None:
    """Say of a database that all was moved to another, with which it has images in common."""
    if not connection.exec_driver_sql(f"SELECT {_IS_LEFT}").scalar():
        row = {"name": "left", "due_at": datetime.now(UTC)}
        connection.execute(sa.insert(chores), row)


def remember_replaced(connection: "psycopg.Connection[Any]") -> None:
    """Remember, until the end of this transaction of PostgreSQL, what is outside now. Nobody writes
    from here on.
    """
    for statement in (
        "LOCK TABLE images, outside IN ACCESS EXCLUSIVE MODE",
        "CREATE TEMPORARY TABLE replaced ON COMMIT DROP AS "  # noqa: S608 our own words
        "SELECT place, noted_at, erasing FROM outside UNION ALL "
        f"SELECT place, now(), true FROM images WHERE place IS NOT NULL AND NOT {_IS_LEFT}",
    ):
        connection.execute(statement)


def note_replaced(connection: "psycopg.Connection[Any]") -> None:
    """Note all images that were remembered and have no row now."""
    for statement in (_NOTE, _KEEP):
        connection.execute(statement)


def stage_sqlite(copy: Path, target: Path, folder: Path) -> Path:
    """Note in a copy of SQLite's file what is outside for the file that it is going to replace.

    What is written to that file between this and the replacement is not noted; nor is anything if
    the file is damaged.

    Args:
        copy: stays as it is.
        target: the file to be replaced.
        folder: for a file of the size of the copy.

    Returns:
        The file to replace the target by: the copy itself where there is nothing to note.
    """
    if not _has_any(target):
        return copy
    staged = folder / copy.name
    shutil.copyfile(copy, staged)
    engine = make_engine(f"sqlite:///{staged}", "process")
    bring_up_to_date(engine)
    engine.dispose()
    try:
        with contextlib.closing(sqlite3.connect(staged, isolation_level=None)) as made:
            made.execute("ATTACH DATABASE ? AS old", [str(target)])
            made.execute("BEGIN")  # it only reads the old one, and waits for nobody who writes
            made.execute(
                "CREATE TEMPORARY TABLE replaced AS "
                "SELECT place, noted_at, erasing FROM old.outside UNION ALL "
                "SELECT place, CURRENT_TIMESTAMP, true FROM old.images WHERE place IS NOT NULL"
            )
            for statement in (_NOTE, _KEEP):
                made.execute(statement)
            made.execute("COMMIT")
            made.execute("PRAGMA main.journal_mode = DELETE")  # one file, without a log beside it
    except sqlite3.DatabaseError:
        return copy
    return staged


def _has_any(target: Path) -> bool:
    """Whether a file of SQLite has notes of images outside, or rows of them. One that cannot be
    read, as it may be damaged, has none.
    """
    query = (
        "SELECT (EXISTS (SELECT 1 FROM outside) OR "  # noqa: S608 our own words
        f"EXISTS (SELECT 1 FROM images WHERE place IS NOT NULL)) AND NOT {_IS_LEFT}"
    )
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(target)) as made:
        return bool(made.execute(query).fetchone()[0])
    return False
