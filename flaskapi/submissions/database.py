"""The database of submissions: transactions, and whether it can be used.

`listing`, `labels`, `erasing` and others define the transactions; `writer` runs those of many
threads.
"""

import contextlib
import hashlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from flaskapi.errors import StoreUnavailableError
from flaskapi.submissions import Submission
from flaskapi.submissions.days import SETTLED, forget_days
from flaskapi.submissions.engine import Durability, is_busy, make_engine
from flaskapi.submissions.identity import FileIdentity
from flaskapi.submissions.inserts import insert
from flaskapi.submissions.migrate import bring_up_to_date
from flaskapi.submissions.outside import stage
from flaskapi.submissions.pictures import Pictures
from flaskapi.submissions.room import find_free, find_pages, find_reserve
from flaskapi.submissions.tables import REVISION, images, submissions

T = TypeVar("T")
MIB = 1024 * 1024
_BREATH_S = 0.01  # between two attempts to empty SQLite's log
_LOOKS_AT_LOG = 10  # attempts: the log can be emptied only while no other connection reads
PATIENCE_S = 0.8  # the longest wait while another process writes
_PUBLIC = "The store cannot be used at the moment; the service's log has the reason."


class Database:
    """SQLite or PostgreSQL, for one thread at a time.

    Connections are opened at first use, and again in a forked process.
    """

    def __init__(
        self,
        url: str,
        durability: Durability,
        *,
        patience_s: float = PATIENCE_S,
        free_bytes: int | None = 0,
        pictures: Pictures | None = None,
    ) -> None:
        """Keep the settings; nothing is opened yet.

        Args:
            url: the address, as SQLAlchemy takes it.
            durability: what SQLite's commits survive.
            patience_s: how long to wait while another process writes.
            free_bytes: keep nothing if less of SQLite's disk is free; 0: always keep; None: by the
                rule of `room.py`.
            pictures: where large images lie, if not in the database.
        """
        self._url, self._parsed = url, sa.make_url(url)
        self._durability, self._patience_s = durability, patience_s
        self._free_bytes, self.pictures = free_bytes, pictures
        self._engine: sa.Engine | None = None
        self._identity: FileIdentity | None = None
        self._process = 0
        self._opening = threading.Lock()

    @property
    def kind(self) -> str:
        return self._parsed.get_backend_name()

    def record(
        self, kept: list[Submission], also: Callable[[sa.Connection], None] | None = None
    ) -> list[UUID | None]:
        """Keep submissions, all in one transaction or none.

        An image that is stored already is not stored again.

        Args:
            kept: the submissions.
            also: runs first, in the same transaction; if it raises, nothing is kept.

        Returns:
            Their ids, in order.

        Raises:
            StoreUnavailableError: the database cannot be reached or written; the text says why.
        """
        self.check_room()
        kept = stage(self, kept)
        digests = [hashlib.sha256(one.image).digest() for one in kept]
        late = [one.received_at for one in kept if one.received_at < datetime.now(UTC) - SETTLED]

        def work(connection: sa.Connection) -> None:
            if also:
                also(connection)
            if kept:
                insert(connection, kept, digests)
            forget_days(connection, late)

        is_alone = not late and also is None and not any(one.place for one in kept)
        self.run(work, alone=is_alone)
        return [one.id for one in kept]

    def expect(self) -> contextlib.AbstractContextManager[None]:
        """Do nothing: with only one thread, no request shares a transaction."""
        return contextlib.nullcontext()

    def _empty_log(self) -> None:
        """Remove erased data from SQLite's write-ahead log.

        If another connection still uses the log after all attempts, SQLite empties it later.
        """
        engine = self._ready_engine()
        if engine.dialect.name == "sqlite":
            with (
                contextlib.suppress(SQLAlchemyError, sqlite3.Error),
                contextlib.closing(engine.raw_connection()) as connection,
            ):
                for _ in range(_LOOKS_AT_LOG):
                    # On a raw connection: SQLAlchemy's would begin a transaction.
                    busy, *_ = (
                        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    )
                    if not busy:
                        break
                    time.sleep(_BREATH_S)

    def check(self, *, thoroughly: bool = False) -> dict[str, Any]:
        """Check that the database answers, and that its disk has room.

        Args:
            thoroughly: write 100,000 bytes and roll back, rather than read one row.

        Returns:
            `kind`, sqlite or postgresql, and `version`, the revision of the tables.

        Raises:
            StoreUnavailableError: the database does not answer, or its disk has too little room.
        """

        def write(connection: sa.Connection) -> None:
            connection.execute(
                sa.insert(images),
                {"sha256": os.urandom(32), "media_type": "", "content": bytes(100_000)},
            )
            connection.rollback()

        def look(connection: sa.Connection) -> None:
            connection.execute(sa.select(submissions.c.id).limit(1)).first()

        self.check_room()
        self.run(write if thoroughly else look, reads=not thoroughly)
        return {"kind": self.kind, "version": REVISION}

    def check_room(self) -> None:
        """Check that enough of SQLite's disk is free; this costs almost nothing if it is.

        Raises:
            StoreUnavailableError: less is free than must stay free.
        """
        if self.kind != "sqlite" or self._free_bytes == 0:
            return
        path = Path(self._parsed.database or "")
        try:
            free, size = find_free(path)
        except OSError:
            return  # the folder does not exist yet; if it cannot be used, SQLite says so
        reserve = find_reserve(self._free_bytes, size)
        # Erased data does not make the file smaller, but SQLite uses its pages again.
        if free < reserve and free + self.run(find_pages, reads=True).free < reserve:
            raise StoreUnavailableError(
                f"{free // MIB:,} MiB are free on the disk, but {reserve // MIB:,} MiB must stay "
                "free (the setting KEEP_FREE_BYTES).",
                only_keeping=True,
            )

    def check_file(self) -> None:
        """Check that SQLite's file is the one that this process has open.

        This costs almost nothing.

        Raises:
            StoreUnavailableError: the file was deleted or replaced.
        """
        if self._identity is not None and self._process == os.getpid():
            self._identity.check()

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        if self._engine:
            self._engine.dispose()
            self._engine = None

    def run(
        self,
        work: Callable[[sa.Connection], T],
        *,
        reads: bool = False,
        long: bool = False,
        erases: bool = False,
        alone: bool = False,
    ) -> T:
        """Run `work` in one transaction.

        It is repeated if others write at the same time, or if the connection was dead.

        Args:
            work: may be called more than once; its earlier changes are then rolled back.
            reads: `work` writes nothing.
            long: makes no difference here, because the caller waits for all work.
            erases: data that `work` erases must not stay readable in SQLite's log.
            alone: for PostgreSQL `work` is a single statement, which needs no transaction.

        Returns:
            The result of `work`.

        Raises:
            StoreUnavailableError: the database cannot be reached, read or written; the text says
                why.
        """
        deadline_s, refused, lost = time.monotonic() + self._patience_s, 0, False
        while True:
            worked = False
            try:
                options = {"reads": reads, "alone": alone}
                with (
                    self._ready_engine().connect().execution_options(**options) as connection,
                    connection.begin(),
                ):
                    result = work(connection)
                    worked = not reads
                if worked:
                    self.check_file()  # give no id for data in a file that was deleted
                if erases:
                    self._empty_log()
                return result
            except IntegrityError as error:
                refused += 1
                if refused > 3:
                    raise StoreUnavailableError(
                        f"The store refuses: {_reason(error)}", public="The store refuses this."
                    ) from error
            except DBAPIError as error:
                # After a restart of the server all connections are opened again. Work that may have
                # been committed is not repeated.
                if error.connection_invalidated and not lost and not worked:
                    lost = True
                    continue
                if not is_busy(error) or time.monotonic() > deadline_s:
                    raise StoreUnavailableError(
                        f"The store cannot be used: {_reason(error)}", public=_PUBLIC
                    ) from error
                time.sleep(random.uniform(0, 0.002))
            except (SQLAlchemyError, OSError) as error:
                raise StoreUnavailableError(
                    f"The store cannot be used: {_reason(error)}", public=_PUBLIC
                ) from error

    def _ready_engine(self) -> sa.Engine:
        if self._process != os.getpid():
            if self._engine is not None:
                # Its connections belong to the parent process, which still uses them.
                self._engine.dispose(close=False)
            self._engine, self._process, self._opening = None, os.getpid(), threading.Lock()
            self._identity = None
        with self._opening:
            if self._engine is None:
                self._identity = self._identify()
                engine = make_engine(self._url, self._durability, identity=self._identity)
                try:
                    bring_up_to_date(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            engine = self._engine
        self.check_file()
        return engine

    def _identify(self) -> FileIdentity | None:
        """The identity of SQLite's file; a database server has none."""
        is_file = self.kind == "sqlite" and self._parsed.database
        return FileIdentity(Path(self._parsed.database or "")) if is_file else None


def _reason(error: Exception) -> str:
    """The first line of the database's message, with a full stop."""
    said = str(getattr(error, "orig", None) or error).strip()
    return (said.splitlines()[0].rstrip(".") if said else type(error).__name__) + "."
