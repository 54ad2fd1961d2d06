"""Notes of changes in a database while its rows are copied to another.

Triggers write them in the transaction that makes the change: its kind and the row's primary key.
The tables of notes and the triggers exist only while a database is moved.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from flaskapi.submissions.tables import metadata

TABLES = metadata.sorted_tables  # those that others refer to first
Key = tuple[Any, ...]  # the values of a row's primary key


class Change(NamedTuple):
    """What happened to one row since the last note."""

    inserted: bool
    notes: list[int]  # the numbers of its notes


_METADATA = sa.MetaData()
_NOTES = {
    table.name: sa.Table(
        f"moving_{table.name}",
        _METADATA,
        sa.Column(
            "n",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("change", sa.String(1), nullable=False),  # I, U or D, as the statement is called
        *(sa.Column(column.name, column.type, nullable=False) for column in table.primary_key),
        sqlite_autoincrement=True,
    )
    for table in TABLES
}


def begin_notes(engine: sa.Engine) -> None:
    """Note changes from now on; earlier notes are removed.

    Raises:
        SQLAlchemyError: the database cannot be written.
    """
    end_notes(engine)
    with engine.begin() as connection:
        _METADATA.create_all(connection)
        for table in TABLES:
            for statement in _make_triggers(table, connection.dialect.name):
                connection.exec_driver_sql(statement)


def end_notes(engine: sa.Engine) -> None:
    """Stop to note changes, and remove the notes. Without notes, nothing changes.

    Raises:
        SQLAlchemyError: the database cannot be written.
    """
    with engine.begin() as connection:
        for table in TABLES:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS moving_{table.name} CASCADE")
            else:
                for change in "IUD":
                    connection.exec_driver_sql(
                        f"DROP TRIGGER IF EXISTS moving_{table.name}_{change}"
                    )
        _METADATA.drop_all(connection)


def has_notes(connection: sa.Connection) -> bool:
    """Are changes noted?"""
    return sa.inspect(connection).has_table(next(iter(_NOTES.values())).name)


def read_changes(connection: sa.Connection, table: sa.Table) -> dict[Key, Change]:
    """The notes of a table, by key, in the order of the first changes."""
    notes, found = _NOTES[table.name], dict[Key, Change]()
    for n, change, *key in connection.execute(sa.select(notes).order_by(notes.c.n)):
        known = found.setdefault(tuple(key), Change(False, []))
        known.notes.append(n)
        if change == "I":
            found[tuple(key)] = Change(True, known.notes)
    return found


def forget_changes(connection: sa.Connection, table: sa.Table, notes: list[int]) -> None:
    """Remove notes whose changes were applied."""
    of = _NOTES[table.name]
    connection.execute(sa.delete(of).where(of.c.n.in_(notes)))


def parted(many: list[Any], most: int) -> Iterator[list[Any]]:
    """Split a list into parts of at most this many."""
    return (many[begin : begin + most] for begin in range(0, len(many), most))


def _make_triggers(table: sa.Table, dialect: str) -> list[str]:
    """The statements that note each change of a table. All names in them are our own."""
    notes, keys = f"moving_{table.name}", [column.name for column in table.primary_key]

    def note(change: str, row: str) -> str:
        values = ", ".join(f"{row}.{key}" for key in keys)
        return f"INSERT INTO {notes} (change, {', '.join(keys)}) VALUES ({change}, {values});"  # noqa: S608

    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {notes}_{kind[0]} AFTER {kind} ON {table.name} "
            f"BEGIN {note(repr(kind[0]), 'OLD' if kind == 'DELETE' else 'NEW')} END"
            for kind in ("INSERT", "UPDATE", "DELETE")
        ]
    body = (
        f"IF TG_OP = 'DELETE' THEN {note(repr('D'), 'OLD')} "
        f"ELSE {note('left(TG_OP, 1)', 'NEW')} END IF; RETURN NULL;"
    )
    return [
        f"CREATE FUNCTION {notes}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
        f"CREATE TRIGGER {notes} AFTER INSERT OR UPDATE OR DELETE ON {table.name} "
        f"FOR EACH ROW EXECUTE FUNCTION {notes}()",
    ]
