"""The room of a SQLite database on its disk: what stays free for others, and what it may use. A
database server's disk is not looked at.
"""

import os
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

MOST_RESERVE_BYTES = 1 << 30
RESERVE_SHARE = 0.05


class FileRoom(NamedTuple):
    """The used bytes of a database's file, and those that it can use again."""

    used: int
    free: int


def find_free(path: Path) -> tuple[int, int]:
    """The free bytes on the disk of a file, and all its bytes."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def find_reserve(given: int | None, disk_bytes: int) -> int:
    """The bytes that must stay free, by the setting KEEP_FREE_BYTES."""
    if given is not None:
        return given
    return min(MOST_RESERVE_BYTES, int(RESERVE_SHARE * disk_bytes))


def find_pages(connection: sa.Connection) -> FileRoom:
    """How much of SQLite's file is in use."""
    size, count, free = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("page_size", "page_count", "freelist_count")
    )
    return FileRoom((count - free) * size, free * size)
