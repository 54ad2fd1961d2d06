"""Are SQLite's files at their paths still those that this process has open?

A file that is deleted or replaced stays open, and takes commits that nobody can ever find.
"""

import contextlib
import os
import threading
import time
from pathlib import Path

from flaskapi.errors import StoreUnavailableError

LOG_SUFFIXES = ("-wal", "-shm")  # beside the database's own name


class FileIdentity:
    """The database and its write-ahead log, as one process has them open. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._lock = threading.Lock()
        self._connections = 0
        self._known: dict[Path, tuple[int, int]] = {}

    def note_opened(self) -> None:
        """Note a new connection. The first one determines which files this process uses."""
        with self._lock:
            if self._connections == 0:
                self._known.clear()  # without a connection here, SQLite may have removed the log
                if (found := _identify(self.path)) is not None:
                    self._known[self.path] = found
            self._connections += 1

    def note_closed(self) -> None:
        """Note that a connection was closed."""
        with self._lock:
            self._connections -= 1

    def check(self) -> None:
        """Check that both files are those that are open. It takes a few microseconds.

        Raises:
            StoreUnavailableError: one was deleted or replaced; the error is lasting.
        """
        for path in (self.path, self._log):
            found = _identify(path)
            with self._lock:
                if not self._connections:
                    return  # nothing is open; the next connection opens what is there
                known = self._known.get(path)
                if known is None and found is not None:
                    self._known[path] = found
                    continue
            if known is not None and found != known:
                self._set_old_log_aside()
                raise StoreUnavailableError(
                    f"{path} was {'deleted' if found is None else 'replaced'} while the service "
                    "uses it. Put the same file back, or restart the service (sudo systemctl "
                    "restart apache2) to use the current file.",
                    lasting=True,
                    public="The store's file is not the one that was opened.",
                )

    def _set_old_log_aside(self) -> None:
        """Rename the log of the old database, so that no process reads it into a new one, which
        would damage it.
        """
        with self._lock:
            database, log = self._known.get(self.path), self._known.get(self._log)
        found = _identify(self.path)
        if found not in (None, database) and log is not None and _identify(self._log) == log:
            set_logs_aside(self.path)


def set_logs_aside(path: Path) -> None:
    """Rename the log of a database that is no longer at its path. Nothing is erased."""
    for suffix in LOG_SUFFIXES:
        log = path.with_name(path.name + suffix)
        with contextlib.suppress(OSError):
            log.rename(f"{log}.of-another-database.{time.time_ns()}")


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
