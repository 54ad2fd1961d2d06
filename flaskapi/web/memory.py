"""A process gives memory back; one that takes too much is replaced by a new one."""

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

EVERY_S = 0.5
# Of `mallopt` (malloc.h of glibc), and what is given back at once where it is not used any more.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 1 << 19
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def give_back_memory() -> None:
    """Let glibc keep little of what is freed; to be called before anything large is imported.

    Else each thread gets an arena of its own, and what large pictures took stays in all of them:
    after twelve of 12 megapixels a process had 178 MB, and so 139. Threads do not wait for each
    other at the one arena, for Python's lock lets one go on at a time.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, _LARGE_BYTES)


def watch_memory(most_bytes: int) -> None:
    """Watch this process's memory; above so many bytes the process ends and is replaced.

    Call it only if SIGUSR1 means to finish the current requests and end, as in mod_wsgi's daemons.
    """
    threading.Thread(
        target=wait_until_above, args=(most_bytes, resident_bytes, end), name="memory", daemon=True
    ).start()


def wait_until_above(
    most_bytes: int,
    resident: Callable[[], int],
    then: Callable[[], None],
    *,
    every_s: float = EVERY_S,
) -> None:
    """Wait until this process has more memory than so many bytes; then log it and call `then`."""
    while (found := resident()) <= most_bytes:
        time.sleep(every_s)
    logging.getLogger("flaskapi").error(
        "memory: this process has %s MB, more than the %s allowed (PROCESS_MEMORY_BYTES); another "
        "replaces it.",
        f"{found // 1_000_000:,}",
        f"{most_bytes // 1_000_000:,}",
    )
    then()


def resident_bytes() -> int:
    """The memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def end() -> None:
    """Finish the current requests, and end."""
    os.kill(os.getpid(), signal.SIGUSR1)
