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
_BREATH_S = (
    0.01  # between two transactions that erase, in which those that wait to write come first
)
_LOOKS_AT_LOG = 10  # for a moment in which nobody reads, so that it can be emptied
PATIENCE_S = 0.8  # with a database in which another process writes
_PUBLIC = "The store cannot be used at the moment; the service's log has the reason."


class Database:
    """SQLite or PostgreSQL, for one thread at a time. Connections are opened at first use, and
    again in a forked process.
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
        """Make it.

        Args:
            url: its address.
            durability: what SQLite's commits survive.
            patience_s: how long to wait while another process writes.
            free_bytes: keep nothing if less of SQLite's disk is free; None: as `room.py` says.
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
        """Keep submissions, all in one transaction or none; an image that is stored already is not
        stored again.

        Args:
            also: what else is done in this transaction, first; an error of it ends both.

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
        return contextlib.nullcontext()  # there is only one thread

    def _empty_log(self) -> None:
        """Remove erased data from SQLite's write-ahead log; if others use the log at the moment,
        they do it.
        """
        engine = self._ready_engine()
        if engine.dialect.name == "sqlite":
            with (
                contextlib.suppress(SQLAlchemyError, sqlite3.Error),
                contextlib.closing(engine.raw_connection()) as connection,
            ):
                for _ in range(_LOOKS_AT_LOG):
                    # Not within a transaction, which `connect` would begin.
                    busy, *_ = (
                        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    )
                    if not busy:
                        break
                    time.sleep(_BREATH_S)

    def check(self, *, thoroughly: bool = False) -> dict[str, Any]:
        """Check that the database answers; thoroughly, by a write that is rolled back.

        Raises:
            StoreUnavailableError: it does not.
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
        """Check that enough of SQLite's disk is free; it costs almost nothing if there is.

        Raises:
            StoreUnavailableError: less is free than must stay free.
        """
        if self.kind != "sqlite" or self._free_bytes == 0:
            return
        path = Path(self._parsed.database or "")
        try:
            free, size = find_free(path)
        except OSError:
            return  # the folder does not exist yet; SQLite reports errors
        reserve = find_reserve(self._free_bytes, size)
        # Erased data makes the file no smaller, but its space is used again.
        if free < reserve and free + self.run(find_pages, reads=True).free < reserve:
            raise StoreUnavailableError(
                f"{free // MIB:,} MiB are free on the disk, but {reserve // MIB:,} MiB must stay "
                "free (the setting KEEP_FREE_BYTES).",
                only_keeping=True,
            )

    def check_file(self) -> None:
        """Check that SQLite's file is the one that this process has open; it costs almost nothing.

        Raises:
            StoreUnavailableError: it was deleted or replaced.
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
        """Run `work` in one transaction; repeat it if others write at the same time, or if a
        connection turns out to be dead.

        Args:
            work: may be called more than once; its earlier changes are then rolled back.
            reads: it writes nothing.
            long: makes no difference here, because all work is waited for.
            erases: nothing that it erases may stay readable in SQLite's log.
            alone: for PostgreSQL it is a single statement, which needs no transaction around it.

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
                # The server was restarted, so all connections are opened again. Work that may have
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
                # Its connections belong to the process from which this one was forked.
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
    """The first line of the database's message, as the end of a sentence."""
    said = str(getattr(error, "orig", None) or error).strip()
    return (said.splitlines()[0].rstrip(".") if said else type(error).__name__) + "."
