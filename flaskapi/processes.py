"""Beside other processes: the interpreter to start one with, and a folder that one holds."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def find_python() -> str:
    """The environment's interpreter; `sys.executable` is Apache's own where Python is embedded."""
    python = Path(sys.prefix) / "bin" / "python"
    return str(python if python.exists() else sys.executable)


@contextlib.contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Hold a folder while others wait for it.

    The lock is on the folder itself, so that it leaves no file behind and goes with its process.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
