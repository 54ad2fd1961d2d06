"""Move all rows to another database, of either kind, while the service goes on with the first.

`copy` copies all rows of one moment, in one transaction of the target. `follow` then applies later
changes, which `changes` noted, and is called repeatedly. `compare` compares every row with its
copy. Once new processes use the target, `follow_late` brings changes of processes that still use
the source. It overrules nothing that was done in the target.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql, sqlite

from flaskapi.errors import FlaskapiError
from flaskapi.submissions.backup import said_by_a_database
from flaskapi.submissions.changes import TABLES, Change, Key, forget_changes, parted, read_changes
from flaskapi.submissions.days import forget_days
from flaskapi.submissions.engine import make_engine
from flaskapi.submissions.labels import settle_again
from flaskapi.submissions.migrate import bring_up_to_date
from flaskapi.submissions.tables import (
    batch_pieces,
    batches,
    chores,
    images,
    keys,
    labels,
    retrainings,
    shadows,
    submissions,
)

Rows = Sequence[sa.Row[Any]]
# Rows that are in memory at once; fewer of the tables whose rows may have megabytes.
_TOGETHER, _LARGE_TOGETHER = 1000, 16
_LARGE = (images, batch_pieces)
# How long a move waits for others who write to SQLite: they are many, and it would not get a turn.
_BUSY_MS = 60_000
# Tables that old processes still write. Images come with submissions; days are counted again.
_LATE = (keys, retrainings, submissions, labels, shadows, batches, batch_pieces)


@contextlib.contextmanager
def opened(source: str, target: str) -> Iterator[tuple[sa.Engine, sa.Engine]]:
    """Open both databases, and close them at the end.

    Args:
        source: the address of the database with the rows.
        target: the address of the database that the rows are moved to.

    Raises:
        FlaskapiError: one of them cannot be used; the text has the database's message.
    """
    engines = make_engine(source, "power"), make_engine(target, "power")
    for engine in engines:
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _be_patient)
    try:
        with said_by_a_database():
            yield engines
    finally:
        for engine in engines:
            engine.dispose()


def _be_patient(connection: sqlite3.Connection, _: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}").close()


def find_filled(engine: sa.Engine) -> list[str]:
    """Make the tables of a database that are missing, and name those with rows that are no chores.

    Raises:
        SQLAlchemyError, FlaskapiError: the database cannot be used.
    """
    bring_up_to_date(engine)
    with _moment(engine) as connection:
        return [
            table.name
            for table in TABLES
            if table is not chores
            and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        ]


def copy(source: sa.Engine, target: sa.Engine, tell: Callable[[int], object]) -> dict[str, int]:
    """Replace all rows of the target by those of the source, in one transaction.

    Args:
        source: the database with the rows.
        target: the database that loses the rows it has.
        tell: is called with the number of rows copied since its last call.

    Returns:
        For each table, the number of copied rows.

    Raises:
        SQLAlchemyError: a database fails; the target then has the rows it had.
    """
    copied = dict[str, int]()
    with _moment(source) as old, target.begin() as new:
        _take_time(new)
        for table in reversed(TABLES):
            new.execute(sa.delete(table))
        indexes = [index for table in TABLES for index in table.indexes]
        for index in indexes:  # all at once after the rows is faster
            index.drop(new)
        for table in TABLES:
            copied[table.name] = 0
            for rows in _read_all(old, table):
                _insert(new, table, rows)
                copied[table.name] += len(rows)
                tell(len(rows))
        for index in indexes:
            index.create(new)
        new.exec_driver_sql("ANALYZE")
    return copied


def compare(source: sa.Engine, target: sa.Engine, tell: Callable[[int], object]) -> dict[str, int]:
    """Compare each row with its copy.

    Rows with changes that `follow` has not applied yet are left out.

    Args:
        source: the database with the original rows.
        target: the database with the copies.
        tell: is called with the number of rows compared since its last call.

    Returns:
        For each table, the number of rows that are the same in both.

    Raises:
        FlaskapiError: the copy lacks a row, has one too many, or differs in one.
    """
    same = dict[str, int]()
    with _moment(source) as old, _moment(target) as new:
        for table in TABLES:
            changed, same[table.name] = read_changes(old, table), 0
            for rows in _read_all(old, table):
                wanted = [row for row in rows if _key(table, row) not in changed]
                _check_same(new, table, wanted)
                same[table.name] += len(wanted)
                tell(len(rows))
            many = sa.select(sa.func.count()).select_from(table)
            if new.execute(many).scalar_one() > same[table.name] + len(changed):
                raise FlaskapiError(f"The copy has rows in {table.name} that the original lacks.")
    return same


def follow(source: sa.Engine, target: sa.Engine) -> int:
    """Apply all changes that are noted until now, while nobody else writes to the target.

    Returns:
        The number of changed rows.

    Raises:
        FlaskapiError: a row differs in the target after the change.
    """
    with _moment(source) as old:
        changed = {table: read_changes(old, table) for table in TABLES}
        for table in TABLES:
            for some in _parts(table, changed[table]):
                rows = _find(old, table, some)
                with target.begin() as new:
                    _upsert(new, table, rows)
                    _check_same(new, table, rows)
        for table in reversed(TABLES):
            _erase_missing(old, target, table, changed[table])
    return _forget(source, changed)


def follow_late(source: sa.Engine, target: sa.Engine) -> int:
    """Bring changes of old processes, which use the source, into a target that new ones use.

    New rows are inserted, and erased rows are erased. If a submission was labelled in both
    databases, all labels count. A key that was revoked in either stays revoked. Rows that were
    erased in the target do not come back.

    Returns:
        The number of changed rows.
    """
    with _moment(source) as old:
        changed = {table: read_changes(old, table) for table in TABLES}
        for table in TABLES:
            inserted = [key for key, change in changed[table].items() if change.inserted]
            for some in _parts(table, inserted) if table in _LATE else ():
                _bring(old, target, table, some)
        for some in _parts(keys, changed[keys]):
            _revoke(target, _find(old, keys, some))
        for table in (labels, submissions):
            _erase_missing(old, target, table, changed[table])
        touched = {key[0] for key in changed[submissions]}
        for some in _parts(labels, changed[labels]):
            touched |= {row.submission_id for row in _find(old, labels, some)}
        for ids in parted(sorted(touched), _TOGETHER):
            _settle(target, ids)
    return _forget(source, changed)


@contextlib.contextmanager
def _moment(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that sees the database as it is now, however long it reads."""
    with (
        engine.connect().execution_options(reads=True) as connection,
        connection.begin(),
    ):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _take_time(connection)
        connection.execute(sa.select(submissions.c.id).limit(1)).first()  # the moment is now
        yield connection


def _take_time(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _read_all(connection: sa.Connection, table: sa.Table) -> Iterator[Rows]:
    """All rows of a table in parts, by primary key."""
    most = _LARGE_TOGETHER if table in _LARGE else _TOGETHER
    query = sa.select(table).order_by(*table.primary_key)
    with connection.execution_options(yield_per=most).execute(query) as result:
        yield from result.partitions()


def _parts(table: sa.Table, some: Iterable[Key]) -> Iterator[list[Key]]:
    return parted(list(some), _LARGE_TOGETHER if table in _LARGE else _TOGETHER)


def _key(table: sa.Table, row: sa.Row[Any]) -> Key:
    return tuple(row._mapping[column] for column in table.primary_key)


def _find(connection: sa.Connection, table: sa.Table, some: Sequence[Key]) -> Rows:
    """The rows with these keys; keys without a row are left out."""
    own = list(table.primary_key)
    wanted = own[0].in_([key[0] for key in some])
    if len(own) > 1:
        wanted = sa.tuple_(*own).in_(some)
    return connection.execute(sa.select(table).where(wanted)).all()


def _values(rows: Rows) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]


def _insert(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(sa.insert(table), _values(rows))
        return
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    columns = list(table.columns)
    ways = [
        column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        for column in columns
    ]
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
    )
    with driver.cursor() as cursor, cursor.copy(query) as into:
        for row in rows:
            into.write_row(
                [way(value) if way else value for way, value in zip(ways, row, strict=True)]
            )


def _insert_or(connection: sa.Connection, table: sa.Table) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _upsert(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    if rows:
        statement = _insert_or(connection, table)
        own = {column.name for column in table.primary_key}
        new = {name: value for name, value in statement.excluded.items() if name not in own}
        statement = statement.on_conflict_do_update(index_elements=own, set_=new)
        connection.execute(statement, _values(rows))


def _insert_missing(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    if rows:
        connection.execute(_insert_or(connection, table).on_conflict_do_nothing(), _values(rows))


def _check_same(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Compare rows of the source with those of the target, which `connection` reads.

    Raises:
        FlaskapiError: the target lacks a row, or differs in one.
    """
    there = {
        _key(table, row): tuple(row)
        for some in _parts(table, [_key(table, row) for row in rows])
        for row in _find(connection, table, some)
    }
    for row in rows:
        if there.get(_key(table, row)) != tuple(row):
            name = "/".join(
                part.hex() if isinstance(part, bytes) else str(part) for part in _key(table, row)
            )
            raise FlaskapiError(f"The row {name} in {table.name} is not the same in the copy.")


def _erase_missing(
    old: sa.Connection, target: sa.Engine, table: sa.Table, changed: Iterable[Key]
) -> None:
    """Erase changed rows that the source no longer has, and images without a submission."""
    for some in _parts(table, changed):
        gone = set(some) - {_key(table, row) for row in _find(old, table, some)}
        with target.begin() as new:
            there = _find(new, table, list(gone)) if gone else []
            if not there:
                continue
            if table is submissions:
                forget_days(new, [row.received_at for row in there])
            own = list(table.primary_key)
            for row in there:
                matches = [
                    column == value for column, value in zip(own, _key(table, row), strict=True)
                ]
                new.execute(sa.delete(table).where(*matches))
            if table is submissions:
                user = sa.exists().where(submissions.c.sha256 == images.c.sha256)
                digests = {row.sha256 for row in there}
                new.execute(sa.delete(images).where(images.c.sha256.in_(digests), ~user))


def _bring(old: sa.Connection, target: sa.Engine, table: sa.Table, some: list[Key]) -> None:
    """Insert new rows, except those of a submission or batch that the target lacks."""
    rows = _find(old, table, some)
    with target.begin() as new:
        if table in (labels, shadows):
            of = _find(new, submissions, [(row.submission_id,) for row in rows])
            there = {row.id for row in of}
            rows = [row for row in rows if row.submission_id in there]
        if table is batch_pieces:
            of = _find(new, batches, list({(row.batch_id,): None for row in rows}))
            there = {row.id for row in of}
            rows = [row for row in rows if row.batch_id in there]
        if table is submissions:
            for digests in _parts(images, {(row.sha256,): None for row in rows}):
                _insert_missing(new, images, _find(old, images, digests))
            forget_days(new, [row.received_at for row in rows])
        _insert_missing(new, table, rows)


def _revoke(target: sa.Engine, rows: Rows) -> None:
    with target.begin() as new:
        for row in rows:
            if row.revoked_at is not None:
                standing = keys.c.id == row.id, keys.c.revoked_at.is_(None)
                new.execute(sa.update(keys).where(*standing).values(revoked_at=row.revoked_at))


def _settle(target: sa.Engine, ids: list[UUID]) -> None:
    """Decide again which label of these submissions is in force, from all labels."""
    with target.begin() as new:
        for row in _find(new, submissions, [(id,) for id in ids]):
            if settle_again(new, row.id):
                forget_days(new, [row.received_at])


def _forget(source: sa.Engine, changed: dict[sa.Table, dict[Key, Change]]) -> int:
    for table, found in changed.items():
        notes = [n for change in found.values() for n in change.notes]
        for some in parted(notes, _TOGETHER):  # in parts, so that no writer waits long
            with source.begin() as old:
                forget_changes(old, table, some)
    return sum(map(len, changed.values()))
