"""The files of ended processes, put together: each process has one of each kind, and after a
thousand restarts a scrape would read three thousand, and the disk hold as many.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KINDS = ("counter", "histogram")
_ENDED = "0"  # no process has this id: in its file is what ended processes counted


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Around the reading of all files: none is put together meanwhile."""
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def merge_ended(folder: Path) -> None:
    """Put the files of ended processes together into one of each kind.

    Args:
        folder: of one server; nothing else is in it. PROMETHEUS_MULTIPROC_DIR names it.

    Raises:
        OSError: there is no room for it; the files are as they were.
    """
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for kind in KINDS:
            ended = [file for file in folder.glob(f"{kind}_*.db") if _has_ended(file)]
            if len(ended) > 1:
                _merge(ended, folder / f"{kind}_{_ENDED}.db")


def _has_ended(file: Path) -> bool:
    return not Path("/proc", file.stem.rpartition("_")[2]).exists()


def _merge(files: list[Path], into: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    values: Any = MmapedDict  # it has no types
    sums: dict[str, float] = {}
    for file in files:
        for key, value, *_ in values.read_all_values_from_file(str(file)):
            sums[key] = sums.get(key, 0.0) + value
    own = into.with_suffix(".new")
    own.unlink(missing_ok=True)
    try:
        with own.open("wb") as opened:
            # As much as all of them take, before it is written to through memory.
            os.posix_fallocate(opened.fileno(), 0, max(file.stat().st_size for file in files))
        merged = values(str(own))
        for key, value in sums.items():
            merged.write_value(key, value, 0.0)
        merged.close()
    except OSError:
        own.unlink(missing_ok=True)
        raise
    for file in files:
        file.unlink()
    own.rename(into)
