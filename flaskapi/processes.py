"""Help with other processes: the interpreter to start one with, and a lock on a folder."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def find_python() -> str:
    """The interpreter of the environment; `sys.executable` is Apache's if Python is embedded."""
    python = Path(sys.prefix) / "bin" / "python"
    return str(python if python.exists() else sys.executable)


@contextlib.contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Lock a folder; others wait.

    The lock is on the folder itself, so it leaves no file behind and ends with its process.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
