"""A copy of the whole database, made while it is in use, and restored.

SQLite is copied by its own online backup, which copies one moment. PostgreSQL is copied by COPY, in
one transaction that sees one moment, so no program of the server's version is needed.
"""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from psycopg import sql

from flaskapi.errors import FlaskapiError
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.migrate import bring_up_to_date, find_revision, known_revisions
from flaskapi.submissions.replaced import note_replaced, remember_replaced, stage_sqlite
from flaskapi.submissions.tables import metadata

SQLITE_FILE = "submissions.db"
_CHUNK_BYTES = 1 << 20


class Copied(NamedTuple):
    """The content of a database's copy."""

    kind: str  # `sqlite` or `postgresql`
    revision: str  # of its tables
    rows: dict[str, int]  # of each table
    columns: dict[str, list[str]]  # of each table, as they lie in its file; of SQLite none


@contextlib.contextmanager
def said_by_a_database() -> Iterator[None]:
    """Turn a database's error into one line of ours."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines() or [repr(error)]
        raise FlaskapiError(f"The database cannot be used: {said[0]}") from error


@said_by_a_database()
def copy_database(url: str, folder: Path) -> Copied:
    """Copy a database into files of a folder, while others write to it.

    Raises:
        FlaskapiError: there is no database, it has no tables yet, or it cannot be read.
        OSError: the files cannot be written.
    """
    if sa.make_url(url).get_backend_name() == "sqlite":
        return _copy_sqlite(_sqlite_path(url), folder / SQLITE_FILE)
    return _copy_postgresql(url, folder)


def check_known(copied: Copied) -> None:
    """Reject a copy that a newer version of this code made.

    Raises:
        FlaskapiError: this code does not know the revision of its tables.
    """
    if copied.revision not in known_revisions():
        raise FlaskapiError(
            f"The backup's tables have version {copied.revision}, which is newer than this "
            "code. Update the code first."
        )


def find_places(folder: Path, copied: Copied) -> Iterator[tuple[str, bytes]]:
    """The names of all images outside the database that a copy has rows of, with their SHA-256."""
    if copied.kind == "sqlite":
        with _opened(folder / SQLITE_FILE) as made:
            of = {row[1] for row in made.execute("PRAGMA table_info(images)")}
            query = "SELECT place, sha256 FROM images WHERE place IS NOT NULL"
            yield from made.execute(query) if "place" in of else ()
        return
    columns = copied.columns["images"]
    if "place" not in columns:
        return
    with (folder / "images.copy").open("rb") as file:
        for line in file:  # as COPY writes them: \N for none, bytes as \\x and hexadecimal digits
            values = dict(zip(columns, line.rstrip(b"\n").split(b"\t"), strict=True))
            if values["place"] != rb"\N":
                digits = values["sha256"].removeprefix(rb"\\x")
                yield values["place"].decode(), bytes.fromhex(digits.decode())


@said_by_a_database()
def count_rows(url: str) -> dict[str, int]:
    """The number of rows in each table of a database; none if there is no database yet."""
    if sa.make_url(url).get_backend_name() == "sqlite" and not _sqlite_path(url).exists():
        return {}
    engine = make_engine(url, "power")
    try:
        with engine.connect().execution_options(reads=True) as connection:
            if connection.dialect.name == "postgresql":  # counting takes as long as it takes
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            there = [name for name in metadata.tables if sa.inspect(connection).has_table(name)]
            return {
                name: connection.execute(
                    sa.select(sa.func.count()).select_from(metadata.tables[name])
                ).scalar_one()
                for name in there
            }
    finally:
        engine.dispose()


@said_by_a_database()
def put_back(url: str, folder: Path, copied: Copied) -> None:
    """Replace the whole content of a database by a copy, in one transaction, and bring its tables
    up to date. Images outside the database that have no row any more are noted, to be erased.

    Raises:
        FlaskapiError: the number of rows differs from the copy's record, or the database cannot be
            written; nothing is changed then.
    """
    if copied.kind == "sqlite":
        _put_back_sqlite(_sqlite_path(url), folder / SQLITE_FILE, copied)
    engine = make_engine(url, "power")
    try:
        bring_up_to_date(engine)
        if copied.kind == "postgresql":
            _put_back_postgresql(engine, folder, copied)
    finally:
        engine.dispose()


def _sqlite_path(url: str) -> Path:
    return Path(sa.make_url(url).database or "")


def _copy_sqlite(path: Path, target: Path) -> Copied:
    if not path.is_file():
        raise FlaskapiError(f"{path}: there is no database yet.")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with _opened(path) as source, _opened(target) as made:
        source.backup(made)  # in one step, so that nobody who writes makes it begin again
        made.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        return _look_at(made)


def _look_at(connection: sqlite3.Connection) -> Copied:
    """Check that a database is whole, and count its rows."""
    said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    if said != ["ok"] or connection.execute("PRAGMA foreign_key_check").fetchone():
        raise FlaskapiError(f"The database is damaged: {said[0]}.")
    tables = {
        row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    if "alembic_version" not in tables:
        raise FlaskapiError("The database has no tables of this service.")
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    rows = {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 our own names
        for name in metadata.tables
        if name in tables
    }
    return Copied("sqlite", revision, rows, {})


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an existing database."""
    with contextlib.closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
    ) as connection:
        connection.isolation_level = None
        yield connection


def _put_back_sqlite(path: Path, copy: Path, copied: Copied) -> None:
    """Overwrite the content in SQLite's own transaction, so that processes that have it open go
    on.
    """
    engine = make_engine(f"sqlite:///{path}", "power")
    engine.connect().close()  # makes the file where there is none
    engine.dispose()
    with _opened(copy) as source:
        if _look_at(source).rows != copied.rows:
            raise FlaskapiError("The backup's database is not the one in the backup's list.")
    with (
        tempfile.TemporaryDirectory(prefix=".restore-", dir=path.parent) as folder,
        _opened(stage_sqlite(copy, path, Path(folder))) as source,
        _opened(path) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = WAL")
        # What was there before is in no log any more, as soon as nobody reads from it.
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_postgresql(url: str, folder: Path) -> Copied:
    engine = make_engine(url, "power")
    try:
        with engine.connect().execution_options(alone=True) as connection:
            driver = _driver(connection)
            driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            driver.execute("SET LOCAL statement_timeout = 0")
            revision = find_revision(connection)
            if revision is None:
                raise FlaskapiError("The database has no tables of this service.")
            found = sa.inspect(connection)
            columns = {
                table.name: [column["name"] for column in found.get_columns(table.name)]
                for table in metadata.sorted_tables
                if found.has_table(table.name)
            }
            rows = {
                name: _copy_out(driver, name, of_it, folder / f"{name}.copy")
                for name, of_it in columns.items()
            }
            driver.execute("COMMIT")
            return Copied("postgresql", revision, rows, columns)
    finally:
        engine.dispose()


def _driver(connection: sa.Connection) -> "psycopg.Connection[Any]":
    found: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return found


def _copy_out(driver: "psycopg.Connection[Any]", table: str, columns: list[str], path: Path) -> int:
    """Write a table's rows to a file, and count them."""
    query = sql.SQL("COPY {} ({}) TO STDOUT").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with (
        open(path, "xb", opener=_for_nobody_else) as file,
        driver.cursor() as cursor,
    ):
        with cursor.copy(query) as copy:
            for part in copy:
                file.write(part)
        return cursor.rowcount


def _put_back_postgresql(engine: sa.Engine, folder: Path, copied: Copied) -> None:
    with engine.connect() as connection:
        driver = _driver(connection)
        with driver.transaction():
            driver.execute("SET LOCAL statement_timeout = 0")
            remember_replaced(driver)
            tables = [table.name for table in metadata.sorted_tables]
            driver.execute(
                sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(sql.Identifier, tables)))
            )
            for table in tables:
                if table in copied.rows:
                    _copy_in(driver, table, copied, folder / f"{table}.copy")
            note_replaced(driver)


def _copy_in(driver: "psycopg.Connection[Any]", table: str, copied: Copied, path: Path) -> None:
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, copied.columns[table]))
    )
    with path.open("rb") as file, driver.cursor() as cursor:
        with cursor.copy(query) as copy:
            while part := file.read(_CHUNK_BYTES):
                copy.write(part)
        if cursor.rowcount != copied.rows[table]:
            raise FlaskapiError(
                f"{cursor.rowcount:,} rows of the table {table} were restored, but the backup's "
                f"list has {copied.rows[table]:,}; nothing was changed."
            )


def _for_nobody_else(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
