"""Connections to the database, with the options that the store needs."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from flaskapi.processes import folder_locked
from flaskapi.submissions.identity import FileIdentity, set_logs_aside

Durability = Literal["process", "power"]
# SQLite's own waits grow to 0.1 s between two looks; the store asks again itself, more often.
BUSY_S = 0.02
_SERVER_TIMEOUT_MS = 5000
# PostgreSQL's codes for a deadlock, and for what two cannot both do.
_BEGIN_AGAIN = ("40P01", "40001")


def make_engine(
    url: str, durability: Durability, *, identity: FileIdentity | None = None
) -> sa.Engine:
    """Make an engine for a database. It does not connect yet.

    Args:
        url: `sqlite:///` and a path, or `postgresql://...`.
        durability: what a commit survives: the end of any process, or also a power cut.
        identity: notes each connection to SQLite's file, if given.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _make_sqlite(parsed, durability, identity)
    # `synchronous_commit` is not loosened by `durability`: without it a commit does not survive the
    # end of one of the server's processes.
    options = (
        "-c synchronous_commit=on -c timezone=UTC "
        f"-c statement_timeout={_SERVER_TIMEOUT_MS} -c application_name=flaskapi"
    )
    # As where what is read lies in memory, so that rows count, not pages. Else the planner would
    # rather go through all submissions in their order than find the few that are looked for in an
    # index of theirs, for those lie apart from each other.
    options += " -c seq_page_cost=0.01 -c random_page_cost=0.01"
    limits = {
        "connect_timeout": 2,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "tcp_user_timeout": 3000,
    }
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",  # the driver begins no transaction by itself; `begin` does
        connect_args=limits | {"options": options},
        pool_size=2,
        max_overflow=4,
        pool_timeout=0.5,
    )

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("alone"):
            connection.exec_driver_sql("BEGIN")

    return engine


def _make_sqlite(url: sa.URL, durability: Durability, identity: FileIdentity | None) -> sa.Engine:
    engine = sa.create_engine(
        url,
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
        pool_size=2,
        max_overflow=4,
        pool_timeout=0.5,
    )
    path = Path(url.database or "")

    @sa.event.listens_for(engine, "do_connect")
    def prepare(*_: Any) -> None:
        if path.is_symlink() and not path.exists():
            # SQLite would make the file that it points to, wherever that is.
            raise OSError(
                f"{path} is a link to a missing file; create that file, or remove the link."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # what is wrong, SQLite says
            if not path.exists():
                _make_file(path)

    if identity is not None:
        sa.event.listen(engine, "close", lambda *_: identity.note_closed())

    @sa.event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = (
            None  # the driver begins no transaction by itself; `begin` does
        )
        for pragma in (
            "journal_mode = WAL",
            f"synchronous = {'FULL' if durability == 'power' else 'NORMAL'}",
            "foreign_keys = ON",
            "secure_delete = ON",  # what is deleted is overwritten
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        if identity is not None:
            identity.note_opened()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # With the lock from the start: one that is taken in the middle of a transaction can fail in
        # ways that no waiting mends.
        connection.exec_driver_sql(
            "BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE"
        )

    return engine


def _make_file(path: Path) -> None:
    """Make an empty database, without the log of an earlier one at its path.

    Other users of the machine cannot read it, since it contains what people sent.
    """
    with folder_locked(path.parent):
        if path.exists():
            return  # another process was first
        set_logs_aside(path)
        # Not through a link that lies there: what it points to may be somebody else's.
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            if os.geteuid() == 0:  # it is the folder's owner who serves
                os.fchown(made, path.parent.stat().st_uid, path.parent.stat().st_gid)
        finally:
            os.close(made)


def is_busy(error: DBAPIError) -> bool:
    """Was the reason only that another process was writing at that moment?"""
    if getattr(error.orig, "sqlstate", None) in _BEGIN_AGAIN:
        return True
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )
