"""The room that a SQLite database has on its disk: what is left free for others, and what it may
take itself. A database server looks after its own disk.
"""

import os
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

MOST_RESERVE_BYTES = 1 << 30
RESERVE_SHARE = 0.05


class FileRoom(NamedTuple):
    """The bytes of a database's file that hold something, and those that it can use again."""

    used: int
    free: int


def find_free(path: Path) -> tuple[int, int]:
    """The bytes that are free on the disk of a file, and those that there are."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def find_reserve(given: int | None, disk_bytes: int) -> int:
    """The bytes that are to stay free, as the setting KEEP_FREE_BYTES says."""
    if given is not None:
        return given
    return min(MOST_RESERVE_BYTES, int(RESERVE_SHARE * disk_bytes))


def find_pages(connection: sa.Connection) -> FileRoom:
    """What of SQLite's file is in use."""
    size, count, free = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("page_size", "page_count", "freelist_count")
    )
    return FileRoom((count - free) * size, free * size)
