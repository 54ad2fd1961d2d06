"""The versions of the model in the database, for several instances: their files, the pointer to the
serving one, and what each process reports that it serves. The meaning of a version is the caller's.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from flaskapi.submissions import Store
from flaskapi.submissions.tables import pointers, processes, version_files, versions

FORGET = timedelta(minutes=10)  # after which a process that says nothing more is forgotten
_SERVING = "serving"


class StoredPointer(NamedTuple):
    """The content of the pointer, and how often it was changed. Without content it never was."""

    changes: int
    content: dict[str, Any] | None


class ProcessReport(NamedTuple):
    """What a process serves, and how long ago it reported that."""

    instance: str
    pid: int
    started: str  # tells it from an earlier process with the same id
    version: str
    generation: int
    refused: str | None
    silent_s: float = 0.0


def put_version(store: Store, name: str, files: Mapping[str, bytes]) -> None:
    """Keep a version. If it is already there, its files are replaced, which mends a damaged one.

    Raises:
        StoreUnavailableError: the database cannot be written.
    """
    rows = [
        {
            "version": name,
            "name": file,
            "sha256": hashlib.sha256(content).digest(),
            "content": content,
        }
        for file, content in files.items()
    ]

    def work(connection: sa.Connection) -> None:
        if connection.execute(sa.select(versions.c.name).where(versions.c.name == name)).first():
            connection.execute(sa.delete(version_files).where(version_files.c.version == name))
        else:
            # Refused where another process was first; then this work is repeated.
            row = {"name": name, "registered_at": datetime.now(UTC)}
            connection.execute(sa.insert(versions), row)
        connection.execute(sa.insert(version_files), rows)

    store.run(work, long=True)


def find_versions(store: Store) -> dict[str, datetime]:
    """The names of all versions, each with when it was registered.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    query = sa.select(versions.c.name, versions.c.registered_at)
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    return {row.name: row.registered_at for row in rows}


def fetch_version(store: Store, name: str) -> dict[str, tuple[bytes, bytes]]:
    """The files of a version, by name: the SHA-256 that each had, and its content. Empty if there
    is no such version.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    of = version_files.c
    query = sa.select(of.name, of.sha256, of.content).where(of.version == name)
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True, long=True)
    return {row.name: (row.sha256, row.content) for row in rows}


def count_changes(store: Store) -> int:
    """How often the pointer was changed.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    query = sa.select(pointers.c.changes).where(pointers.c.name == _SERVING)
    return store.run(lambda connection: connection.execute(query).scalar(), reads=True) or 0


def read_stored(store: Store) -> StoredPointer:
    """Read the pointer.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    query = sa.select(pointers.c.changes, pointers.c.content).where(pointers.c.name == _SERVING)
    row = store.run(lambda connection: connection.execute(query).first(), reads=True)
    return StoredPointer(*row) if row else StoredPointer(0, None)


def change_stored(
    store: Store, before: StoredPointer, content: dict[str, Any], removed: Sequence[str] = ()
) -> bool:
    """Change the pointer and remove versions. False if the pointer has changed since it was read;
    nothing is done then.

    Raises:
        StoreUnavailableError: the database cannot be written.
    """
    changed = {"changes": before.changes + 1, "content": content}
    own = pointers.c.name == _SERVING

    def work(connection: sa.Connection) -> bool:
        if before.content is not None:
            is_same = own & (pointers.c.changes == before.changes)
            done = connection.execute(sa.update(pointers).where(is_same).values(changed)).rowcount
        elif done := not connection.execute(sa.select(pointers.c.name).where(own)).first():
            # Refused where another process was first, and then looked at again.
            connection.execute(sa.insert(pointers), {"name": _SERVING} | changed)
        if done and removed:
            connection.execute(sa.delete(versions).where(versions.c.name.in_(removed)))
        return bool(done)

    return store.run(work)


def report_process(
    store: Store, report: ProcessReport, is_over: Callable[[int, str], bool]
) -> None:
    """Store what a process serves, and remove processes of its instance that have ended.

    Args:
        store: has the reports.
        report: of the process.
        is_over: whether a process of this instance, by its id and its start, has ended.

    Raises:
        StoreUnavailableError: the database cannot be written.
    """
    of = processes.c
    # By the database's clock, as those of the instances may differ.
    row = report._asdict() | {"heard_at": sa.func.current_timestamp()}
    del row["silent_s"]

    def work(connection: sa.Connection) -> None:
        statement = _insert(connection)(processes).values(row)
        connection.execute(
            statement.on_conflict_do_update(index_elements=[of.instance, of.pid], set_=row)
        )
        known = sa.select(of.pid, of.started).where(of.instance == report.instance)
        over = [pid for pid, started in connection.execute(known) if is_over(pid, started)]
        now = connection.execute(sa.select(_now())).scalar_one()
        is_gone = (of.instance == report.instance) & of.pid.in_(over)
        connection.execute(sa.delete(processes).where(is_gone | (of.heard_at < now - FORGET)))

    # Nobody waits for it, and that it took long says nothing of the store.
    store.run(work, long=True)


def read_reports(store: Store) -> list[ProcessReport]:
    """The last report of each process of every instance.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    of = processes.c
    query = sa.select(processes, _now().label("now")).order_by(of.instance, of.pid)
    rows = store.run(lambda connection: connection.execute(query).all(), reads=True)
    return [
        ProcessReport(
            row.instance,
            row.pid,
            row.started,
            row.version,
            row.generation,
            row.refused,
            max(0.0, (row.now - row.heard_at).total_seconds()),
        )
        for row in rows
    ]


def _now() -> sa.ColumnElement[datetime]:
    return sa.func.current_timestamp(type_=processes.c.heard_at.type)


def _insert(connection: sa.Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
